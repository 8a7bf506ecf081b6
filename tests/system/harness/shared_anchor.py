"""An anchor that many hosts ask, as an option of vnvram."""

# It keeps one file; docs/operations.md has it more carefully.
_KEEPER = """while read -r verb point; do
  case $verb in
    read) cat "$1" 2>/dev/null || echo none;;
    write) printf '%s\\n' "$point" >"$1.new" && mv "$1.new" "$1" && echo ok || echo error;;
  esac
done
"""


def shared_anchor(workspace):
    script = workspace.file("keep-anchor")
    script.write_text(_KEEPER, "ascii")
    return "--anchor", f"exec:exec sh {script} {workspace.file('shared.anchor')}"
