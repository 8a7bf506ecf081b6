# bash: words and options of vnvram, vnvram-tpm and vnvram-swtpm. None is named here: they are what the program that is
# being completed says with --help.

_vnvram_verbs() { # of a help text
  awk '/^Subcommands:/ { inside = 1; next } !NF { inside = 0 } inside { print $1 }
       /^Usage: [^ ]+ [a-z]+\|[a-z]+ / { gsub(/\|/, "\n", $3); print $3 }' <<<"$1"
}

_vnvram_options() { # of a help text: what stands in front of a description
  sed -n 's/^  \(-[^ ].*\)/\1/p' <<<"$1" | sed 's/   *.*//' | grep -oE -e '--[a-z0-9-]+' | awk '!seen[$0]++'
}

_vnvram() {
  local current=${COMP_WORDS[COMP_CWORD]} text verbs word
  local -a program=("$1")
  text=$("${program[@]}" --help 2>/dev/null)
  verbs=$(_vnvram_verbs "$text")
  for word in "${COMP_WORDS[@]:1:COMP_CWORD-1}"; do
    grep -qxF -e "$word" <<<"$verbs" || break
    program+=("$word")
    text=$("${program[@]}" --help 2>/dev/null)
    verbs=
    # The devices that swtpm can be are no verbs below each other.
    grep -q '^Subcommands:' <<<"$text" && verbs=$(_vnvram_verbs "$text")
  done
  case $current in
    -*) mapfile -t COMPREPLY < <(compgen -W "$(_vnvram_options "$text")" -- "$current") ;;
    *) mapfile -t COMPREPLY < <(compgen -W "$verbs" -- "$current") ;;
  esac
}

# Where none fits: files.
complete -o bashdefault -o default -F _vnvram vnvram vnvram-tpm vnvram-swtpm swtpm
