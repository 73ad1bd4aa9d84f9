complete -c sx-encode -l level -d 'Compression level: 0 none, 1 fast to 19 small; also -0 to -19' -r
complete -c sx-encode -s W -l width -d 'Width of a frame, in pixels' -r
complete -c sx-encode -s H -l height -d 'Height of a frame, in pixels' -r
complete -c sx-encode -l sturdy -d 'Make gray pictures that survive JPEG and lossy WebP: 1 carries the most bytes, 4 survives the most' -r
complete -c sx-encode -l cdc -d 'End chunks where the content says so, about every AVERAGE bytes, such as 64K or 1M, so that equal content gives equal pictures [default AVERAGE: 256K, or half a frame]' -r
complete -c sx-encode -l secret -d 'Seal or open frames with the secret in this file [default: `SX_SECRET`]' -r -F
complete -c sx-encode -s j -l jobs -d 'Threads that compress [default: all cores]' -r
complete -c sx-encode -s o -l output -d 'Write to this file instead of stdout; it appears only when it is complete' -r -F
complete -c sx-encode -l max-frame -d 'Largest frame to make or accept, in MiB of pixels (1 to 1024)' -r
complete -c sx-encode -l new-secret -d 'Write a new secret to stdout, and encode nothing'
complete -c sx-encode -s q -l quiet -d 'Show only errors: no progress, no notes'
complete -c sx-encode -s v -l verbose -d 'At the end, print how much was done and how long it took'
complete -c sx-encode -l log-json -d 'Write progress, notes and errors to stderr as JSON, one object a line'
complete -c sx-encode -s h -l help -d 'Print help (see more with \'--help\')'
complete -c sx-encode -s V -l version -d 'Print version'
