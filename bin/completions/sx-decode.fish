complete -c sx-decode -l map -d 'With --salvage: write a GNU ddrescue map of the missing bytes to this file' -r -F
complete -c sx-decode -l range -d 'Write only these bytes: OFFSET:LENGTH, OFFSET: to the end, or -LENGTH for the last bytes' -r
complete -c sx-decode -l locate -d 'Read the output of `tar -R`, and print the ranges of the archive that hold these members' -r
complete -c sx-decode -s o -l output -d 'Write to this file instead of stdout; it appears only when it is complete' -r -F
complete -c sx-decode -s j -l jobs -d 'Threads that decompress [default: all cores]' -r
complete -c sx-decode -l secret -d 'Seal or open frames with the secret in this file [default: `SX_SECRET`]' -r -F
complete -c sx-decode -l max-frame -d 'Largest frame to make or accept, in MiB of pixels (1 to 1024)' -r
complete -c sx-decode -s t -l test -d 'Check everything, write nothing'
complete -c sx-decode -s l -l list -d 'Print a line for each frame instead of the bytes'
complete -c sx-decode -l json -d 'With --list: print a JSON object for each frame'
complete -c sx-decode -l sort -d 'First put the files, one frame each, in order'
complete -c sx-decode -l salvage -d 'Write the frames that are there, with zeros for the missing ones'
complete -c sx-decode -s q -l quiet -d 'Show only errors: no progress, no notes'
complete -c sx-decode -s v -l verbose -d 'At the end, print how much was done and how long it took'
complete -c sx-decode -l log-json -d 'Write progress, notes and errors to stderr as JSON, one object a line'
complete -c sx-decode -s h -l help -d 'Print help (see more with \'--help\')'
complete -c sx-decode -s V -l version -d 'Print version'
