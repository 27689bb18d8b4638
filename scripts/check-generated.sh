#!/usr/bin/env bash
# Tells whether generating again would change anything that is committed.
#
# usage: scripts/check-generated.sh
#
# It works on a copy of the tree as it is now, committed or not, so that it
# neither needs a clean tree nor touches one. Ends with 1 and the differences
# if something generated is not what its source says.
set -euo pipefail
cd "$(dirname "$0")/.."

# Below .cache Go takes it for no part of this module, and a place that stays
# the same lets the build cache work.
copy=.cache/generated/tree
rm -rf .cache/generated
mkdir -p "$copy"

# A file that is deleted but not yet committed is listed as well; tar would
# complain.
git ls-files --cached --others --exclude-standard -z |
	while IFS= read -r -d '' file; do
		if [ -e "$file" ]; then printf '%s\0' "$file"; fi
	done |
	tar --create --null --files-from=- | tar --extract --directory="$copy"
ln -s "$PWD/frontend/node_modules" "$copy/frontend/node_modules"

list() {
	(cd "$copy" && find . -type f -print0 | sort -z | xargs -0 sha256sum)
}

list >.cache/generated/before
"$copy/scripts/generate.sh"
list >.cache/generated/after

if cmp -s .cache/generated/before .cache/generated/after; then
	rm -rf .cache/generated
	exit 0
fi
echo "generated code is not up to date; run: make generate"
# Lines of either list alone, names only.
sort .cache/generated/before .cache/generated/after | uniq -u | awk '{ print $2 }' | sort -u |
	while IFS= read -r file; do
		diff --unified=1 --new-file "$file" "$copy/$file" | head -n 40 || true
	done
exit 1
