#!/bin/sh
# Whichever side of the pipe fails, the wrapper fails: no key, no file, the old file as it was.
set -eu
# shellcheck source=/dev/null
. "${0%/*}/lib.sh"

frames
sx-put --name name <frames >key
missing=$(path_of "$(sx-get --list key | sed -n 5p)")
mv "$missing" away
echo old >old
refuses 1 'not found' storagex download key new
refuses 1 'not found' storagex download key
refuses 1 'not found' storagex download -f key old
[ "$(cat old)" = old ] || fail 'the old file is gone'
[ ! -e new ] || fail 'a file'
[ ! -e name ] || fail 'a file'
mv away "$missing"
refuses 1 'cannot write' storagex download key nowhere/file
refuses 1 'cannot open' storagex download no-such-key-file
refuses 1 'not found' storagex download "file:///no/00/x.png#blake3=$(printf '%064d' 0)"
refuses 1 'scheme' storagex info "nope://x#blake3=$(printf '%064d' 0)"

# Two streams under one key, of which the second can't be had: the first alone is no success.
seq 100 | sx-encode >other
cat frames other | sx-put >both.key
storagex download both.key both
mv "$(path_of "$(sx-get --list both.key | tail -n 1)")" away
refuses 1 'not found' storagex download both.key new
[ ! -e new ] || fail 'a file'

# The same of two keys, where the second one can't be used.
rm "$(path_of "$(cat both.key)")"
cat key both.key >keys
refuses 1 'not found' storagex download keys new
[ ! -e new ] || fail 'a file'

refuses 1 'no-such-file: ' storagex upload no-such-file >new.key
refuses 1 'no-such-folder/: ' storagex upload no-such-folder/ >new.key
refuses 1 'cannot' storagex upload --to /dev/null/store stream >new.key
mkdir -p folder stub
# shellcheck disable=SC2016 # for the stub
printf '#!/bin/sh\n"$TAR" "$@"\nexit 2\n' >stub/tar
chmod +x stub/tar
(
    TAR=$(command -v tar)
    PATH=$PWD/stub:$PATH
    export TAR PATH
    refuses 1 "command 'tar': exit status 2" storagex upload folder >new.key
)
[ ! -s new.key ] || fail 'a key'
