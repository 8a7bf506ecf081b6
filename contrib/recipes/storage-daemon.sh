#!/bin/sh
# A qemu-storage-daemon that owns a VM image and exports it: storage-daemon.sh IMAGE FOLDER
#
# Runs until it gets SIGTERM. In FOLDER: nbd.sock, what vnvram serve takes as
# nbd+unix:///nvram?socket=FOLDER/nbd.sock; qmp.sock, for snapshots, backups and mirrors; and pid,
# which is written when both are there.
set -eu
# Absolute: overlays keep the name of the image below them.
image=$(realpath "$1") folder=$2
case "$image" in
  *.qcow2) format=qcow2 ;;
  *) format=raw ;;
esac
exec qemu-storage-daemon \
  --blockdev "driver=file,node-name=file,filename=$image" \
  --blockdev "driver=$format,node-name=nvram,file=file" \
  --nbd-server "addr.type=unix,addr.path=$folder/nbd.sock" \
  --export type=nbd,id=nvram,node-name=nvram,name=nvram,writable=on \
  --chardev "socket,id=qmp,path=$folder/qmp.sock,server=on,wait=off" \
  --monitor chardev=qmp \
  --pidfile "$folder/pid"
