complete -c sx-put -l to -d 'The store: file:DIR, a path with a slash, s3://BUCKET/PREFIX, http(s)://HOST/FOLDER/, FILE.sxcu or host:NAME [default: $SX_STORE, or storagex in $XDG_DATA_HOME]' -r
complete -c sx-put -l parity -d 'After every K data frames add M parity frames, 1+1 to 128+64: any M of the K + M may be lost' -r
complete -c sx-put -l min-copies -d 'Print keys if at least N stores have stored everything [default: all]' -r
complete -c sx-put -l reuse -d 'Don\'t store again what this earlier key lists: a key, or a file of keys, one a line; may be given more than once' -r
complete -c sx-put -l resume -d 'Keep a journal of stored pictures in this file, and skip those that it lists; one for each store' -r -F
complete -c sx-put -s o -l output -d 'Write the key to this file instead of stdout; an old key stays until the new one replaces it' -r -F
complete -c sx-put -l name -d 'Name to record in the index' -r
complete -c sx-put -s j -l jobs -d 'Frames to store at once' -r
complete -c sx-put -s W -l width -d 'Width of an index frame, in pixels' -r
complete -c sx-put -s H -l height -d 'Height of an index frame, in pixels' -r
complete -c sx-put -l set -d 'Answer to a question in an image host\'s file; may be given more than once' -r
complete -c sx-put -l verify -d 'Which pictures to read back and compare: all, first, none, or a share such as 5%' -r
complete -c sx-put -l deletions -d 'Append the URLs that delete pictures of an image host to this file; with --prune, call them; they are secrets' -r -F
complete -c sx-put -l grace -d 'With --prune: the least time that pictures stay set aside [default: 7]' -r
complete -c sx-put -l forget -d 'With --prune: of the backups in this folder, files DATE.key, remove those that no rule keeps; may be given more than once' -r -F
complete -c sx-put -l keep-last -d 'With --forget: keep the N newest backups' -r
complete -c sx-put -l keep-daily -d 'With --forget: keep the newest backup of each of the last N days that have one' -r
complete -c sx-put -l keep-weekly -d 'With --forget: the same for weeks' -r
complete -c sx-put -l keep-monthly -d 'With --forget: the same for months' -r
complete -c sx-put -l size -d 'Size of the stream, so that progress shows the time left: 1200000000, 1.2G or 1200M' -r
complete -c sx-put -l max-frame -d 'Largest frame to make or accept, in MiB of pixels (1 to 1024)' -r
complete -c sx-put -l spread -d 'Distribute the frames of each group over the stores, so that any one store may be lost'
complete -c sx-put -l comment -d 'Write comments before the key: the stores, and how much was stored'
complete -c sx-put -l keys -d 'Print the key of each frame, one a line, and make no index'
complete -c sx-put -l prune -d 'Set aside the pictures that none of these keys reaches, and remove those that were set aside long enough ago, in every store that the keys name, or in the one of --to; reads no frames'
complete -c sx-put -l dry-run -d 'With --prune: change nothing, and print what would happen'
complete -c sx-put -l probe -d 'Try the store with pictures of growing size, plain and sturdy, and report what comes back; reads no frames'
complete -c sx-put -l json -d 'With --probe: print a JSON object'
complete -c sx-put -s q -l quiet -d 'Show only errors: no progress, no notes'
complete -c sx-put -s v -l verbose -d 'At the end, print how much was done and how long it took'
complete -c sx-put -l log-json -d 'Write progress, notes and errors to stderr as JSON, one object a line'
complete -c sx-put -s h -l help -d 'Print help (see more with \'--help\')'
complete -c sx-put -s V -l version -d 'Print version'
