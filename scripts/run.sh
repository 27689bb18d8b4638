#!/usr/bin/env bash
# Runs `slipway serve` on `slipway vpcsim`, two processes as in real use, with
# data in .cache/run that stays. Prints a sign-in link and an API token.
#
# usage: [SLIPWAY_LISTEN=127.0.0.1:8080] scripts/run.sh [arguments of serve]
set -euo pipefail
cd "$(dirname "$0")/.."
data=$PWD/.cache/run
listen=${SLIPWAY_LISTEN:-127.0.0.1:8080}
simulator=${SLIPWAY_VPCSIM_LISTEN:-127.0.0.1:8090}
export SLIPWAY_DATA_DIR=$data SLIPWAY_LISTEN=$listen
mkdir -p "$data"

# Small files in the place of a vendor's kernel and images.
go run ./tools/standins "$data/standins" | while IFS=$'\t' read -r name kind version path; do
	bin/slipway artifacts add "$name" "$path" --kind="$kind" --version="$version" >/dev/null
done

if [ ! -s "$data/token" ]; then
	(umask 077 && bin/slipway token create local --role=admin >"$data/token" 2>/dev/null)
fi

# The kernel ends the simulator when this process ends, which becomes the server.
setpriv --pdeathsig TERM -- bin/slipway vpcsim --listen="$simulator" >"$data/vpcsim.log" 2>&1 &
vpcsim=$!
until grep -q 'slipway serve' "$data/vpcsim.log"; do
	if ! kill -0 "$vpcsim" 2>/dev/null; then
		cat "$data/vpcsim.log" >&2
		exit 1
	fi
	sleep 0.1
done
# It prints the settings that its default account needs.
mapfile -t settings < <(grep -oE -- '--[a-z-]+=[^ \\]+' "$data/vpcsim.log")

echo "App       $(bin/slipway token signin "${USER:-local}" --role=admin --server="http://$listen")"
echo "Token     $data/token"
echo "Deploy    SLIPWAY_SERVER=http://$listen SLIPWAY_TOKEN_FILE=$data/token bin/slipway deploy metal-1 --profile=bx2d-metal-96x384 --watch"
echo "Cloud     http://$simulator (log: $data/vpcsim.log)"
echo
exec bin/slipway serve --base-url="http://$listen" --domain=local.slipway.test --heartbeat=5s --observe-every=1s --probe-every=1s "${settings[@]}" "$@"
