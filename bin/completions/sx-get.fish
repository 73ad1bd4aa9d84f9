complete -c sx-get -l sample -d 'With --check: check only N frames, or N percent of them, drawn at random' -r
complete -c sx-get -l to -d 'With --repair: copy the stream to this store, with its own index; may be given more than once' -r
complete -c sx-get -l set -d 'With --repair: answer to a question in an image host\'s file; may be given more than once' -r
complete -c sx-get -l deletions -d 'With --repair: append the URLs that delete pictures of an image host to this file; they are secrets' -r -F
complete -c sx-get -l map -d 'With --salvage: write a GNU ddrescue map of the lost bytes to this file' -r -F
complete -c sx-get -l range -d 'Only these bytes of the stream, as a stream of their own: OFFSET:LENGTH, OFFSET: or -LENGTH' -r
complete -c sx-get -l from -d 'Look in this store first, by the same names; may be given more than once' -r
complete -c sx-get -s j -l jobs -d 'Frames to fetch at once' -r
complete -c sx-get -l max-frame -d 'Largest frame to make or accept, in MiB of pixels (1 to 1024)' -r
complete -c sx-get -l list -d 'Print the key and kind of every frame and index; fetch only indexes'
complete -c sx-get -l info -d 'Print name, size, frames, store and time'
complete -c sx-get -l filename -d 'Print the last component of the name, and nothing else; fails if it is no valid file name'
complete -c sx-get -l check -d 'Fetch every picture, check its digest, and report what each store still has'
complete -c sx-get -l json -d 'With --info or --check: print a JSON object for each line of keys'
complete -c sx-get -l repair -d 'Store missing and damaged pictures again, and print the line of keys that is valid now'
complete -c sx-get -s i -l in-place -d 'With --repair: where the line of keys changes, replace it in the file, and print nothing'
complete -c sx-get -l salvage -d 'Write what is left, with zeros in place of lost data'
complete -c sx-get -s q -l quiet -d 'Show only errors: no progress, no notes'
complete -c sx-get -s v -l verbose -d 'At the end, print how much was done and how long it took'
complete -c sx-get -l log-json -d 'Write progress, notes and errors to stderr as JSON, one object a line'
complete -c sx-get -s h -l help -d 'Print help (see more with \'--help\')'
complete -c sx-get -s V -l version -d 'Print version'
