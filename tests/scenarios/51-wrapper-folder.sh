#!/bin/sh
# storagex upload DIR: a tar file of the folder, under its own name however it is written.
set -eu
# shellcheck source=/dev/null
. "${0%/*}/lib.sh"

mkdir -p 'a b/-dash/inner' back
random 1000 'a b/-dash/inner/file'

there_and_back() { # PATH NAME
    storagex upload "$1" >key
    storagex info key | grep -Fqx "name: $2.tar" || fail "$1: $(storagex info key)"
    storagex download -f key back.tar
    rm -r back
    mkdir back
    tar xf back.tar -C back
    diff -r "$3" "back/$2" || fail "$1: another folder"
}

there_and_back 'a b' 'a b' 'a b'
there_and_back 'a b///' 'a b' 'a b'
there_and_back './a b/.' 'a b' 'a b'
there_and_back "$PWD/a b" 'a b' 'a b'
there_and_back 'a b/-dash' -dash 'a b/-dash'
ln -s 'a b' link
there_and_back link 'a b' 'a b'
there_and_back link/ 'a b' 'a b'
mkdir @at
there_and_back @at @at @at
(
    cd 'a b/-dash'
    storagex upload . >../../key
    storagex info ../../key | grep -Fqx 'name: -dash.tar'
    storagex upload .. >../../key
    storagex info ../../key | grep -Fqx 'name: a b.tar'
    cd ..
    storagex upload -- -dash >../key
    storagex info ../key | grep -Fqx 'name: -dash.tar'
    CDPATH=/tmp:.. storagex upload ./-dash >../key
    storagex info ../key | grep -Fqx 'name: -dash.tar'
)
