# shellcheck shell=sh
# What the scripts of this folder share. Each sources it from its own folder.

fail() {
  printf '%s: %s\n' "${0##*/}" "$1" >&2
  exit 1
}

# A script's first comment is its manual.
manual() {
  sed -n '2,/^$/s/^# \{0,1\}//p' "$0"
}

wrong_usage() {
  manual >&2
  exit 2
}

need() {
  for needed; do
    command -v "$needed" >/dev/null || fail "there is no $needed here: install it"
  done
}

# 32 bytes that nobody guesses. They only ever go through a pipe. If that fails there are fewer, and
# vnvram takes no key of less than 16 bytes.
fresh_key() {
  head -c 32 /dev/urandom
}

# print_public_part TEXT: what a key slot has room for. No newline behind it: clevis takes none.
print_public_part() {
  [ -n "$1" ] || fail "there is no public part: what makes it has written nothing"
  [ ${#1} -le 4096 ] || fail "the public part is longer than the 4096 bytes that a key slot has room for"
  printf '%s' "$1"
}

# These words as one that a shell takes apart into the same again.
quoted() {
  for word; do
    printf "'%s' " "$(printf '%s' "$word" | sed "s/'/'\\\\''/g")"
  done
}

# public_part_file COMMAND [ARGUMENT...]: what it prints, in a file of which `public_part` is the path and
# that goes with this script.
public_part_file() {
  folder=$(mktemp -d) || fail "there is no folder for the public part"
  trap 'rm -rf -- "$folder"' EXIT
  trap 'exit 1' HUP INT TERM
  public_part=$folder/public
  "$@" >"$public_part"
}

# add_slot IMAGE KEY LABEL WORD...: gives the image a slot with this public part, which this script opens
# when it is given these words. vnvram has it opened before the slot is there.
add_slot() {
  image=$1 key=$2 label=$3
  shift 3
  opens=$(quoted "$(realpath -- "$0")" "$@")
  vnvram key add "$image" --key "$key" --new-key "exec:$opens,public=$public_part" --label "$label"
}
