#!/bin/sh
# Wrong usage of the wrapper: exit status 2 and what would be right.
set -eu
# shellcheck source=/dev/null
. "${0%/*}/lib.sh"

echo hello >file
storagex upload file >key

refuses 2 'no command, expected backup, ' storagex
refuses 2 "unknown command 'store', expected backup, " storagex store
refuses 2 'expected one file or folder' storagex upload
refuses 2 'expected one file or folder' storagex upload file file
refuses 2 "unknown option '-x'" storagex upload -x file
refuses 2 "unknown option '-'" storagex upload -
refuses 2 '--to without a value' storagex upload file --to
refuses 2 'store without a path|store .., expected' storagex upload --to '' file
refuses 2 'expected a date' storagex restore --at tomorrow docs
refuses 2 'without a key' storagex download
refuses 2 'at most one file' storagex download key a b
refuses 2 "unknown option '--to'" storagex download --to ./x key
refuses 2 'empty file name' storagex download key ''
refuses 2 'expected one' storagex info
refuses 2 'expected one' storagex info key key
refuses 2 "unknown option '-x'" storagex info -x
only file key
