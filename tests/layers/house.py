"""The sources as rooms: what each includes, declares, and how long it is."""

import collections
import re

LINES_MAX = 400
METHODS_MAX = 30
# A class that has more says why in its header, in a sentence that begins so.
METHODS_REASON = f"More than {METHODS_MAX} methods:"

# A function's declaration in a header: the name before the first bracket of a line, with a type before it.
# Calls, macros, constructors and operators do not look like that.
DECLARATION = re.compile(
    r"^\s*(?:\[\[nodiscard\]\]\s*)?(?:(?:virtual|static|inline|constexpr|explicit|friend|extern)\s+)*"
    r"(?!return\b|else\b|using\b|typedef\b|delete\b|throw\b|new\b|case\b)"
    r"[A-Za-z_][\w:<>,\s\*&]*?[\s\*&>](?P<name>[a-z_]\w*)\(", re.MULTILINE)
WORD = re.compile(r"\b[a-z_]\w*\b")
COMMENT = re.compile(r"//[^\n]*|/\*.*?\*/", re.DOTALL)
TEXT = re.compile(r'"(?:\\.|[^"\\\n])*"')
# Who may quote a command line in a text that somebody is shown.
FRONT_ENDS = ("cli", "tpm", "swtpm", "nbdkit", "capi")
# Where a source of the command `vnvram` makes one of its verbs.
MADE_VERB = re.compile(r'\bparent,\s*"([a-z-]+)"')
# Of packages that call a folder as we call one.
HEADERS_OF_OTHERS = {"swtpm/tpm_ioctl.h"}
INCLUDE = re.compile(r'^\s*#\s*include\s*["<]([^">]+)[">]', re.MULTILINE)
COMMENT_OR_TEXT = re.compile(rf"(?P<text>{TEXT.pattern})|{COMMENT.pattern}", re.DOTALL)
TEXT_GOES_ON = re.compile(r'"\s*\n\s*"')
CLASS = re.compile(r"\b(?:class|struct)\s+(?:[A-Z_]+\s+)?(?P<name>[A-Z]\w*)[^;{()]*\{")
# Of a class's members, without what is in brackets: the ones that are functions of its own.
METHOD = re.compile(r"^(?!(?:class|struct|enum|using|friend|decltype)\b)[^=(]*\b\w+\(")
# Called by the language or a library by their names, or a pair of which the other half is used.
USED_BY_OTHERS = {"main", "begin", "end", "size", "data", "what"}


def words_of(text):
    """How often each word is in code, not in comments and texts."""
    return collections.Counter(WORD.findall(TEXT.sub('""', COMMENT.sub(" ", text))))


def without_comments(content):
    """The code with its texts whole, what is written over several lines in one."""
    code = COMMENT_OR_TEXT.sub(lambda found: found["text"] or " ", content)
    return TEXT_GOES_ON.sub("", code)


def block_behind(code, begin):
    """What is between the bracket at `begin` and the one that closes it."""
    depth = 0
    for at in range(begin, len(code)):
        depth += {"{": 1, "}": -1}.get(code[at], 0)
        if depth == 0:
            return code[begin + 1:at]
    return code[begin + 1:]


def members_of(body):
    """A class's members, each up to its semicolon or its body."""
    members, depth, member = [], 0, ""
    for character in body:
        if depth == 0 and character in ";{":
            members.append(re.sub(r"\b(?:public|private|protected):", "", member).strip())
            member = ""
        elif depth == 0 and character != "}":
            member += character
        depth += {"{": 1, "}": -1}.get(character, 0)
    return members


def method_count(body):
    """How many functions a class declares or defines, without those that are only taken away."""
    return sum(1 for member in members_of(body)
               if METHOD.match(member) and not member.endswith(("= delete", "= default")))


class House:
    """The folder with src/, tests/ and so on, and what CMake says that each layer may see."""

    def __init__(self, folder, layers):
        self.folder = folder
        self.sees = {}
        for line in layers.read_text().splitlines():
            layer, below = line.split(":")
            self.sees[layer] = below.split()

    def sources(self, *folders):
        """{path from the root: content} of C and C++."""
        return {name: content for folder in folders
                for name, content in self.texts(folder, ".cc", ".h", ".c").items()}

    def texts(self, folder, *endings):
        """{path from the root: content} of files whose names end so."""
        return {str(path.relative_to(self.folder)): path.read_text()
                for path in sorted((self.folder / folder).rglob("*")) if path.suffix in endings}

    def upward_layers(self):
        """The layers are written lowest first."""
        order = list(self.sees)
        return [f"{layer} sees {below}, which is not below it" for layer in order
                for below in self.sees[layer] if below not in order[:order.index(layer)]]

    def foreign_includes(self):
        """Includes of layers that the source's own may not see."""
        found = []
        for path, content in self.sources("src").items():
            layer = path.split("/")[1]
            allowed = {"vnvram", layer, *self.sees[layer]}
            found += [f"{path}: {name}: {layer} may see: {', '.join(self.sees[layer]) or 'nothing'}"
                      for name in INCLUDE.findall(content)
                      if self.is_of_a_layer(name) and name.split("/")[0] not in allowed]
        return found

    def is_of_a_layer(self, name):
        """An include that is one of ours, however it is written; a way around counts as one."""
        return name not in HEADERS_OF_OTHERS and (
            name.startswith(".") or name.split("/")[0] in self.sees and "/" in name)

    def unused_declarations(self):
        """Functions that a header of src/ declares, and no code but their own names: whose name is
        nowhere but where it is declared and defined. What overrides something is called by its name
        there, which may be in a library."""
        sources = self.sources("src", "tests", "bench", "examples", "include")
        uses = collections.Counter()
        for content in sources.values():
            uses.update(words_of(content))
        found = set()
        for path, content in self.sources("src").items():
            if not path.endswith(".h"):
                continue
            code = COMMENT.sub(" ", content)
            for declared in DECLARATION.finditer(code):
                name = declared["name"]
                inline = re.match(r"[^;{]*\{", code[declared.end():]) is not None
                overrides = re.match(r"[^;{]*\boverride\b", code[declared.end():]) is not None
                if (name not in USED_BY_OTHERS and not overrides
                        and uses[name] <= (1 if inline else 2)):
                    found.add(f"{path}: {name}")
        return sorted(found)

    def long_files(self):
        """Too long to be one concept; tests as well, in Python, too."""
        texts = self.sources("src", "tests") | self.texts("tests", ".py")
        return [f"{path}: {len(content.splitlines())} lines"
                for path, content in texts.items() if len(content.splitlines()) > LINES_MAX]

    def large_classes(self):
        """Classes with too many methods, and no reason beside them."""
        found = []
        for path, content in self.sources("src", "include").items():
            code = COMMENT.sub(" ", content)
            for declared in CLASS.finditer(code) if path.endswith(".h") else ():
                count = method_count(block_behind(code, declared.end() - 1))
                if count > METHODS_MAX and METHODS_REASON not in content:
                    found.append(f"{path}: {declared['name']}: {count} methods")
        return found

    def tests_of_nobody(self):
        """Files of the tests with real programs that no CMakeLists.txt runs: they name a test by its file, or by
        what is behind "test_" in their own folder."""
        root = self.folder / "tests/system"
        lists = {path.parent: set(re.findall(r"\w+", path.read_text())) for path in root.rglob("CMakeLists.txt")}
        named = set().union(*lists.values())
        return [str(path.relative_to(self.folder)) for path in sorted(root.rglob("test_*.py"))
                if path.stem not in named and path.stem.removeprefix("test_") not in lists.get(path.parent, set())]

    def verbs(self):
        """Of the command `vnvram`."""
        return sorted({verb for content in self.sources("src/cli").values() for verb in MADE_VERB.findall(content)})

    def command_lines_below(self):
        """Texts that quote a command line where nobody knows that there is a command."""
        # Who has made a blob is no command line.
        command_line = re.compile(rf'(?<!\.producer = )"[^"\n]*\bvnvram (?:{"|".join(self.verbs())})\b')
        return [f"{path}: {text}" for path, content in self.sources("src").items()
                if path.split("/")[1] not in FRONT_ENDS
                for text in command_line.findall(without_comments(content))]

    def operations_without_a_command(self):
        """Verbs in backquotes, of texts below the front ends, that src/base/operator_text.cc makes no command line of."""
        known = TEXT.findall((self.folder / "src/base/operator_text.cc").read_text())
        unknown = [verb for verb in self.verbs() if f'"{verb}"' not in known]
        quoted = re.compile(rf"`({'|'.join(unknown)})(?: [^`]*)?`")
        return [f"{path}: {verb}" for path, content in self.sources("src").items()
                if path.split("/")[1] not in FRONT_ENDS for verb in quoted.findall(without_comments(content))]
