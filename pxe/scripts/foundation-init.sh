#!/bin/sh
# foundation-init.sh - installs this machine, from the install environment on.
#
# The install environment (the initrd) fetches it from $SLIPWAY_URL/boot/scripts
# and runs it once. It fetches its configuration, sets up the network, finds the
# disks, downloads and checks the artifacts, runs the installer among them and
# leaves the installed system ready to be reached. It does not restart the
# machine: the install environment does, when it ends with 0.
#
# It refuses to run where $SLIPWAY_ROOT/etc/slipway-installer does not exist.
#
# Exit codes
#   0  installed, and every report delivered
#   1  failed, and reported: the message names script and line
#   5  the server does not accept the token (401)
#   6  the deployment has ended; whatever ran was stopped
#   7  failed, or even succeeded, but the last report could not be delivered
#   8  this is no install environment; nothing was touched
#
# Environment (see report.sh for the rest)
#   SLIPWAY_URL, SLIPWAY_IP, SLIPWAY_TOKEN  in place of slipway.url, slipway.ip and
#                              slipway.token in $SLIPWAY_ROOT/proc/cmdline
#   SLIPWAY_ARTIFACT_DIR       where artifacts go ($SLIPWAY_STATE/artifacts)
#   SLIPWAY_TARGET             root of the installed system ($SLIPWAY_ROOT/target)
#   SLIPWAY_HEARTBEAT          seconds between heartbeats ($CFG_REPORT_HEARTBEAT, else 30)
#   SLIPWAY_PROGRESS_INTERVAL  seconds between progress reports of a download (10)
#   SLIPWAY_CONFIG_PATIENCE    seconds to wait for scripts and configuration, and for a
#                              server that does not answer about a download slot (600)
#   SLIPWAY_DOWNLOAD_TRIES     tries for one artifact, each resumes the last (10)
#   SLIPWAY_STALL              seconds without a byte that end a try (60)
#   SLIPWAY_POSITION_INTERVAL  seconds between reports of the place in the queue for a
#                              download slot (60)
#   SLIPWAY_KILL_GRACE         seconds between SIGTERM and SIGKILL (10)
#
# The installer gets: SLIPWAY_ROOT, SLIPWAY_TARGET, every CFG_ variable but the
# token, SLIPWAY_BOOT_DISK (a path), SLIPWAY_DATA_DISKS (paths, blank between),
# SLIPWAY_ARTIFACT_DIR, SLIPWAY_REPORT (path of report.sh), SLIPWAY_ERROR_FILE
# (what it writes there becomes part of the failure's message) and
# SLIPWAY_CVM_KEY_FILE (where it leaves the public SSH host key of the controller
# VM that it installed; post-install.sh reports it).

set -eu

SLIPWAY_ROOT=${SLIPWAY_ROOT:-}
if [ ! -e "$SLIPWAY_ROOT/etc/slipway-installer" ]; then
	echo "foundation-init.sh: $SLIPWAY_ROOT/etc/slipway-installer does not exist: this is no install environment, nothing was touched" >&2
	exit 8
fi
umask 077
PATH=${PATH:-/usr/sbin:/usr/bin:/sbin:/bin}
SLIPWAY_STATE=${SLIPWAY_STATE:-$SLIPWAY_ROOT/var/lib/slipway}
SLIPWAY_LOG=${SLIPWAY_LOG:-$SLIPWAY_ROOT/var/log/slipway/install.log}
SLIPWAY_ARTIFACT_DIR=${SLIPWAY_ARTIFACT_DIR:-$SLIPWAY_STATE/artifacts}
SLIPWAY_TARGET=${SLIPWAY_TARGET:-$SLIPWAY_ROOT/target}
SLIPWAY_BACKOFF=${SLIPWAY_BACKOFF:-1 2 4 8 15 30 60}
SLIPWAY_SCRIPT_DIR=$SLIPWAY_STATE/scripts
SLIPWAY_REPORT=$SLIPWAY_SCRIPT_DIR/report.sh
SLIPWAY_ERROR_FILE=$SLIPWAY_STATE/installer-error
SLIPWAY_CVM_KEY_FILE=$SLIPWAY_STATE/cvm_host_key.pub
mkdir -p "$SLIPWAY_SCRIPT_DIR" "$SLIPWAY_ARTIFACT_DIR" "${SLIPWAY_LOG%/*}"
exec 3>&1 >>"$SLIPWAY_LOG" 2>&1
SLIPWAY_CONSOLE=3

# --- before report.sh is there -------------------------------------------

early_log() {
	printf '%s %s\n' "$(date -u +%Y-%m-%dT%H:%M:%SZ)" "$*"
	printf '%s\n' "$*" >&3
}

# early_exit reports a failure without report.sh: once, and as well as it can.
early_exit() {
	early_status=$? early_line=${L:-0}
	trap - EXIT
	set +e
	if [ "$early_status" -eq 0 ]; then
		exit 0
	fi
	case $early_line in
	*:*) ;;
	*) early_line=foundation-init.sh:$early_line ;;
	esac
	early_message="$early_line: ${early_reason:-a command failed with status $early_status}"
	early_log "FAILED in foundation_start: $early_message"
	if [ -z "${SLIPWAY_URL:-}" ] || [ -z "${SLIPWAY_IP:-}" ] || [ -z "${SLIPWAY_TOKEN:-}" ]; then
		exit 7
	fi
	if [ "${http_code:-}" = 401 ]; then
		exit 5
	fi
	early_text=$(printf '%s' "$early_message" | tr -d '"\\\000-\037')
	early_body="{\"server_ip\":\"$SLIPWAY_IP\",\"phase\":\"foundation_start\",\"status\":\"failed\",\"token\":\"$SLIPWAY_TOKEN\",\"message\":\"$early_text\"}"
	printf '%s\n' "$early_body" >"$SLIPWAY_STATE/early.json"
	if command -v curl >/dev/null 2>&1; then
		curl -fsS --max-time 30 -H 'Content-Type: application/json' --data-binary "@$SLIPWAY_STATE/early.json" "$SLIPWAY_URL/api/status/phase" >/dev/null
	else
		wget -q -O /dev/null --header 'Content-Type: application/json' --post-file "$SLIPWAY_STATE/early.json" "$SLIPWAY_URL/api/status/phase"
	fi
	early_sent=$?
	rm -f "$SLIPWAY_STATE/early.json"
	if [ "$early_sent" -eq 0 ]; then
		exit 1
	fi
	exit 7
}

early_fail() {
	early_reason=$*
	exit 1
}

early_nap() {
	early_nth=$1
	# shellcheck disable=SC2086 # a list of numbers
	set -- $SLIPWAY_BACKOFF
	while [ "$early_nth" -gt 1 ] && [ $# -gt 1 ]; do
		early_nth=$((early_nth - 1))
		shift
	done
	sleep "$1" 2>/dev/null || sleep 1
}

# read_cmdline takes slipway.url, .ip and .token from the kernel's command line,
# where the environment does not say otherwise.
read_cmdline() {
	SLIPWAY_URL=${SLIPWAY_URL:-} SLIPWAY_IP=${SLIPWAY_IP:-} SLIPWAY_TOKEN=${SLIPWAY_TOKEN:-}
	cmdline=''
	if [ -r "$SLIPWAY_ROOT/proc/cmdline" ]; then
		IFS= read -r cmdline <"$SLIPWAY_ROOT/proc/cmdline" || :
	fi
	cmdline_url='' cmdline_ip='' cmdline_token=''
	set -f
	for word in $cmdline; do
		case $word in
		slipway.url=*) cmdline_url=${word#*=} ;;
		slipway.ip=*) cmdline_ip=${word#*=} ;;
		slipway.token=*) cmdline_token=${word#*=} ;;
		esac
	done
	set +f
	SLIPWAY_URL=${SLIPWAY_URL:-$cmdline_url}
	SLIPWAY_URL=${SLIPWAY_URL%/}
	SLIPWAY_IP=${SLIPWAY_IP:-$cmdline_ip}
	SLIPWAY_TOKEN=${SLIPWAY_TOKEN:-$cmdline_token}
	cmdline='' cmdline_token=''
}

# http_get URL FILE [auth] fetches a small file and sets http_code (000: no answer).
http_get() {
	: >"$SLIPWAY_STATE/http-headers"
	: >"$SLIPWAY_STATE/http-error"
	if command -v curl >/dev/null 2>&1; then
		http_config=/dev/null
		if [ "${3:-}" = auth ]; then
			http_config=$SLIPWAY_STATE/curl
		fi
		http_code=$(curl -sS -K "$http_config" -o "$2" -D "$SLIPWAY_STATE/http-headers" -w '%{http_code}' --connect-timeout 10 --max-time 60 "$1" 2>"$SLIPWAY_STATE/http-error") || http_code=000
	elif [ "${3:-}" = auth ]; then
		http_nc GET "$1" "$2"
	elif wget -q -O "$2" "$1" 2>"$SLIPWAY_STATE/http-error"; then
		http_code=200
	else
		http_code=$(sed -n -e 's/.*HTTP\/[0-9.]* \([1-5][0-9][0-9]\).*/\1/p' -e 's/.*ERROR \([1-5][0-9][0-9]\):.*/\1/p' "$SLIPWAY_STATE/http-error" | tail -n 1)
		http_code=${http_code:-000}
	fi
}

# http_nc METHOD URL FILE [FORM] does without curl what wget cannot: send a token
# without showing it in the list of processes, and see the answer to a refusal.
# It speaks HTTP/1.0 (RFC 1945) through nc.
http_nc() {
	http_code=000
	case $2 in
	http://*) ;;
	*)
		echo "without curl this can only be fetched by http" >"$SLIPWAY_STATE/http-error"
		return 0
		;;
	esac
	nc_rest=${2#http://}
	nc_authority=${nc_rest%%/*}
	nc_host=${nc_authority%:*}
	nc_port=${nc_authority##*:}
	if [ "$nc_port" = "$nc_authority" ]; then
		nc_port=80
	fi
	nc_body=${4:-}
	rm -f "$SLIPWAY_STATE/nc-in" "$SLIPWAY_STATE/nc-out"
	mkfifo "$SLIPWAY_STATE/nc-in"
	# The end that we write stays open until the answer is there: some servers
	# take the end of input for the client's going away.
	trap '' PIPE
	nc "$nc_host" "$nc_port" <"$SLIPWAY_STATE/nc-in" >"$SLIPWAY_STATE/nc-out" 2>"$SLIPWAY_STATE/http-error" 3>&- &
	nc_pid=$!
	exec 4>"$SLIPWAY_STATE/nc-in"
	{
		printf '%s /%s HTTP/1.0\r\nHost: %s\r\nAuthorization: Bearer %s\r\nConnection: close\r\n' "$1" "${nc_rest#*/}" "$nc_authority" "$SLIPWAY_TOKEN"
		if [ -n "$nc_body" ]; then
			printf 'Accept: text/plain\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: %s\r\n' "${#nc_body}"
		fi
		printf '\r\n%s' "$nc_body"
	} >&4 || :
	wait "$nc_pid" || :
	exec 4>&-
	trap - PIPE
	nc_code=$(sed -n '1s/^HTTP\/[0-9.]* \([1-5][0-9][0-9]\).*/\1/p' "$SLIPWAY_STATE/nc-out")
	http_code=${nc_code:-000}
	nc_cr=$(printf '\r')
	sed "/^$nc_cr*\$/q" "$SLIPWAY_STATE/nc-out" >"$SLIPWAY_STATE/http-headers"
	sed "1,/^$nc_cr*\$/d" "$SLIPWAY_STATE/nc-out" >"$3"
	rm -f "$SLIPWAY_STATE/nc-in" "$SLIPWAY_STATE/nc-out"
}

# http_fetch WHAT URL FILE [auth] repeats http_get until it has the file, the
# server says no, or SLIPWAY_CONFIG_PATIENCE is over.
http_fetch() {
	fetch_deadline=$(($(date +%s) + ${SLIPWAY_CONFIG_PATIENCE:-600}))
	fetch_failures=0
	while :; do
		http_get "$2" "$3" "${4:-}"
		case $http_code in
		200) return 0 ;;
		408 | 425 | 429 | 5?? | 000) ;;
		*) fetch_failed "$1: the server answered $http_code: $(head -c 300 "$3" 2>/dev/null | head -n 1)" ;;
		esac
		fetch_error="$1: HTTP $http_code $(head -n 1 "$SLIPWAY_STATE/http-error")"
		if [ "$(date +%s)" -ge "$fetch_deadline" ]; then
			fetch_failed "$fetch_error; gave up after ${SLIPWAY_CONFIG_PATIENCE:-600} seconds"
		fi
		fetch_failures=$((fetch_failures + 1))
		early_log "$fetch_error; trying again"
		early_nap "$fetch_failures"
	done
}

fetch_failed() {
	if [ -n "${slipway_script:-}" ]; then
		if [ "$http_code" = 401 ]; then
			slipway_log "$1"
			slipway_check 5
		fi
		slipway_fail "$1"
	fi
	early_fail "$1"
}

# fetch_script NAME gets a served script and compares it with the sum that the
# server sends along.
fetch_script() {
	http_fetch "$1" "$SLIPWAY_URL/boot/scripts/$1" "$SLIPWAY_SCRIPT_DIR/$1.part"
	header_sum=$(tr -d '\r' <"$SLIPWAY_STATE/http-headers" | sed -n 's/^[Xx]-[Cc]hecksum-[Ss][Hh][Aa]256: *//p' | tail -n 1)
	sum=$(sha256sum <"$SLIPWAY_SCRIPT_DIR/$1.part")
	sum=${sum%% *}
	if [ -n "$header_sum" ] && [ "$header_sum" != "$sum" ]; then
		fetch_failed "$1: sha256 is $sum, the server said $header_sum"
	fi
	mv -f "$SLIPWAY_SCRIPT_DIR/$1.part" "$SLIPWAY_SCRIPT_DIR/$1"
}

# forget_other_boots drops what an earlier deployment's boot left in a state
# directory that outlived it: its reports must not be sent in this one's name.
forget_other_boots() {
	boot_mark=$(printf '%s' "$SLIPWAY_TOKEN" | sha256sum)
	if [ "$boot_mark" != "$(cat "$SLIPWAY_STATE/boot-mark" 2>/dev/null || :)" ]; then
		rm -rf "$SLIPWAY_STATE/queue"
		printf '%s\n' "$boot_mark" >"$SLIPWAY_STATE/boot-mark"
	fi
	rm -rf "$SLIPWAY_STATE/queue/breaking"
	rm -f "$SLIPWAY_STATE/config.sh" "$SLIPWAY_STATE/queue/fatal" "$SLIPWAY_STATE/queue/lock" "$SLIPWAY_ERROR_FILE" "$SLIPWAY_CVM_KEY_FILE"
}

# --- configuration -------------------------------------------------------

# fetch_config gets the configuration and sources it, after a look at whether it
# is one and is whole.
fetch_config() {
	config=$SLIPWAY_STATE/config.sh
	http_fetch configuration "$SLIPWAY_URL/boot/server/$SLIPWAY_IP?format=sh" "$config.part" auth
	if [ "$(head -n 1 "$config.part")" != "# slipway node configuration 1" ] || [ "$(tail -n 1 "$config.part")" != "# slipway node configuration end" ]; then
		slipway_fail "what $SLIPWAY_URL/boot/server/$SLIPWAY_IP sent is no configuration, or not all of it"
	fi
	if ! sh -n "$config.part"; then
		slipway_fail "the configuration from $SLIPWAY_URL/boot/server/$SLIPWAY_IP is no shell text"
	fi
	mv -f "$config.part" "$config"
	for name in $(set | sed -n 's/^\(CFG_[A-Z0-9_]*\)=.*/\1/p'); do
		unset "$name"
	done
	set -a
	# shellcheck source=/dev/null
	. "$config"
	set +a
	if [ "$CFG_NODE_CONFIG_MGMT_IP" != "$SLIPWAY_IP" ]; then
		slipway_fail "the configuration is for $CFG_NODE_CONFIG_MGMT_IP, not for $SLIPWAY_IP"
	fi
	SLIPWAY_HEARTBEAT=${SLIPWAY_HEARTBEAT:-${CFG_REPORT_HEARTBEAT:-30}}
	# Children take the token from report.sh's file. In their environment it could
	# end up in a log.
	SLIPWAY_TOKEN=${CFG_REPORT_TOKEN:-$SLIPWAY_TOKEN}
	unset CFG_REPORT_TOKEN
	export SLIPWAY_ROOT SLIPWAY_STATE SLIPWAY_LOG SLIPWAY_URL SLIPWAY_IP SLIPWAY_CONSOLE SLIPWAY_SCRIPT_DIR SLIPWAY_BACKOFF SLIPWAY_TARGET
}

# cfg NAME sets value to $CFG_NAME, or to nothing.
cfg() {
	eval "value=\${CFG_$1:-}"
}

# check_scripts compares the scripts that were fetched with the configuration.
check_scripts() {
	for name in report.sh network-config.sh post-install.sh; do
		case $name in
		report.sh) cfg SCRIPTS_REPORT_SH_SHA256 ;;
		network-config.sh) cfg SCRIPTS_NETWORK_CONFIG_SH_SHA256 ;;
		post-install.sh) cfg SCRIPTS_POST_INSTALL_SH_SHA256 ;;
		esac
		sum=$(sha256sum <"$SLIPWAY_SCRIPT_DIR/$name")
		sum=${sum%% *}
		if [ -n "$value" ] && [ "$value" != "$sum" ]; then
			slipway_fail "$name: sha256 is $sum, the configuration says $value"
		fi
	done
}

# run_script NAME runs one of the served scripts. Status 1 means that it has
# reported its failure itself; 5 and 6 end everything.
run_script() {
	run_status=0
	sh "$SLIPWAY_SCRIPT_DIR/$1" || run_status=$?
	case $run_status in
	0) ;;
	1 | 5 | 6 | 7)
		slipway_told=1
		exit "$run_status"
		;;
	*) slipway_fail "$1 ended with status $run_status" ;;
	esac
}

# --- disks ---------------------------------------------------------------

# attribute FILE... sets value to the first of the files that says something,
# without outer blanks (read takes them off) and without the character that
# separates our table.
attribute() {
	value=''
	for file in "$@"; do
		if [ -r "$file" ]; then
			read -r value <"$file" || :
		fi
		case $value in
		'') ;;
		*'|'*)
			value=$(printf '%s' "$value" | tr -d '|')
			return 0
			;;
		*) return 0 ;;
		esac
	done
}

# disk_type DIR sets value to nvme, ssd or hdd. It asks the driver, which is
# also what gives an NVMe namespace its name.
disk_type() {
	attribute "$1/queue/rotational"
	case ${1##*/}:$value in
	nvme*) value=nvme ;;
	*:1) value=hdd ;;
	*) value=ssd ;;
	esac
}

# list_disks writes the table of disks, one line each: name|bytes|serial|wwn|model|type.
# Only what has a device behind it is a disk: not a loop, RAM or mapped one. A
# removable medium, a read-only one and a hidden path to an NVMe disk are none.
list_disks() {
	disks=$SLIPWAY_STATE/disks
	: >"$disks"
	for dir in "$SLIPWAY_ROOT"/sys/block/*; do
		if [ ! -e "$dir/device" ]; then
			continue
		fi
		attribute "$dir/removable"
		if [ "$value" = 1 ]; then
			continue
		fi
		attribute "$dir/ro"
		if [ "$value" = 1 ]; then
			continue
		fi
		attribute "$dir/hidden"
		if [ "$value" = 1 ]; then
			continue
		fi
		attribute "$dir/size"
		sectors=${value:-0}
		if [ "$sectors" = 0 ]; then
			continue
		fi
		attribute "$dir/device/serial" "$dir/serial"
		serial=$value
		if [ -z "$serial" ] && [ -r "$dir/device/vpd_pg80" ]; then
			# SCSI: the unit serial number page, after a header of four bytes.
			serial=$(tail -c +5 "$dir/device/vpd_pg80" | tr -d '\000|' | sed 's/^[[:space:]]*//;s/[[:space:]]*$//')
		fi
		attribute "$dir/wwid" "$dir/device/wwid"
		wwn=$value
		attribute "$dir/device/model"
		model=$value
		disk_type "$dir"
		# The kernel counts in units of 512 bytes whatever the disk's sectors are.
		printf '%s|%s|%s|%s|%s|%s\n' "${dir##*/}" "$((sectors * 512))" "$serial" "$wwn" "$model" "$value" >>"$disks"
	done
}

# disks_json prints the inventory with what each disk was chosen for.
disks_json() {
	separator=''
	printf '"disks":['
	while IFS='|' read -r name bytes serial wwn model type; do
		role=unused
		case " $boot_disk " in
		*" $name "*) role=boot ;;
		esac
		case " $data_disks " in
		*" $name "*) role=data ;;
		esac
		printf '%s{"name":%s,"size_bytes":%s,"serial":%s,"wwn":%s,"model":%s,"type":"%s","role":"%s"}' "$separator" \
			"$(slipway_json "$name")" "$bytes" "$(slipway_json "$serial")" "$(slipway_json "$wwn")" "$(slipway_json "$model")" "$type" "$role"
		separator=','
	done <"$disks"
	printf ']'
}

# wwn_core sets value to a WWN without case and prefix, so that "naa.5000C5…",
# "0x5000c5…" and "5000c5…" are one.
wwn_core() {
	value=$(printf '%s' "$1" | tr '[:upper:]' '[:lower:]')
	value=${value#naa.}
	value=${value#eui.}
	value=${value#uuid.}
	value=${value#0x}
}

# disk_matches is true when the disk in name, bytes, … meets every criterion in want_….
disk_matches() {
	if [ -n "$want_serial" ] && [ "$want_serial" != "$serial" ]; then
		return 1
	fi
	if [ -n "$want_wwn" ]; then
		wwn_core "$wwn"
		if [ "$value" != "$want_wwn" ]; then
			return 1
		fi
	fi
	if [ -n "$want_model" ] && [ "$want_model" != "$model" ]; then
		return 1
	fi
	if [ -n "$want_size" ] && [ "$want_size" -ne "$bytes" ]; then
		return 1
	fi
	if [ -n "$want_min" ] && [ "$bytes" -lt "$want_min" ]; then
		return 1
	fi
	if [ -n "$want_max" ] && [ "$bytes" -gt "$want_max" ]; then
		return 1
	fi
	if [ -n "$want_type" ] && [ "$want_type" != "$type" ]; then
		return 1
	fi
	return 0
}

# trimmed NAME is cfg without outer blanks.
trimmed() {
	cfg "$1"
	value=$(printf '%s' "$value" | sed 's/^[[:space:]]*//;s/[[:space:]]*$//')
}

# select_disks LABEL PREFIX sets selected to the names of the disks that the
# selector in CFG_<PREFIX>_… means, or ends with an explanation.
select_disks() {
	trimmed "$2_SERIAL"
	want_serial=$value
	trimmed "$2_MODEL"
	want_model=$value
	cfg "$2_WWN"
	wwn_core "$value"
	want_wwn=$value
	cfg "$2_SIZE"
	want_size=$value
	cfg "$2_MIN_SIZE"
	want_min=$value
	cfg "$2_MAX_SIZE"
	want_max=$value
	cfg "$2_TYPE"
	want_type=$value
	cfg "$2_COUNT"
	want_count=${value:-1}
	wanted=''
	for word in "serial:$want_serial" "wwn:$want_wwn" "model:$want_model" "size:$want_size" "min_size:$want_min" "max_size:$want_max" "type:$want_type"; do
		if [ -n "${word#*:}" ]; then
			wanted="$wanted${wanted:+, }${word%%:*} ${word#*:}"
		fi
	done
	if [ -z "$wanted" ]; then
		slipway_fail "$1: the configuration does not say which disk"
	fi
	selected=''
	count=0
	known=''
	while IFS='|' read -r name bytes serial wwn model type; do
		known="$known${known:+, }$name ($type, $bytes bytes, serial ${serial:-unknown})"
		case " $boot_disk $data_disks " in
		*" $name "*) continue ;;
		esac
		if disk_matches; then
			selected="$selected${selected:+ }$name"
			count=$((count + 1))
		fi
	done <"$disks"
	if [ "$count" -eq 0 ]; then
		disks_fail "$1: no disk matches ($wanted); this machine has: ${known:-no disks}"
	elif [ "$count" -lt "$want_count" ]; then
		disks_fail "$1: only $count of $want_count disks match ($wanted): $selected; this machine has: $known"
	elif [ "$count" -gt "$want_count" ]; then
		disks_fail "$1: ambiguous, $count disks match ($wanted) where $want_count should: $selected"
	fi
}

# disks_fail MESSAGE fails with the inventory among the details.
disks_fail() {
	slipway_where=${L:-}
	slipway_extra=,$(disks_json)
	slipway_fail "$1"
}

# disk_path NAME sets value to the disk's device node. The kernel writes a slash
# in a name as an exclamation mark.
disk_path() {
	value=$SLIPWAY_ROOT/dev/$(printf '%s' "$1" | tr '!' '/')
	if [ ! -e "$value" ]; then
		slipway_fail "disk $1 has no device node $value"
	fi
}

find_disks() {
	boot_disk=''
	data_disks=''
	list_disks
	select_disks boot_disk STORAGE_CONFIG_BOOT_DISK
	boot_disk=$selected
	index=1
	while [ "$index" -le "${CFG_STORAGE_CONFIG_DATA_DRIVES_COUNT:-0}" ]; do
		select_disks "data_drives $index" "STORAGE_CONFIG_DATA_DRIVES_$index"
		data_disks="$data_disks${data_disks:+ }$selected"
		index=$((index + 1))
	done
	disk_path "$boot_disk"
	SLIPWAY_BOOT_DISK=$value
	SLIPWAY_DATA_DISKS=''
	for name in $data_disks; do
		disk_path "$name"
		SLIPWAY_DATA_DISKS="$SLIPWAY_DATA_DISKS${SLIPWAY_DATA_DISKS:+ }$value"
	done
	export SLIPWAY_BOOT_DISK SLIPWAY_DATA_DISKS
}

# --- long work in the background -----------------------------------------

# supervise TIMEOUT INTERVAL TICK COMMAND... runs a command and, every INTERVAL
# seconds beside it, TICK. The command is stopped after TIMEOUT seconds (0:
# never) or when a report says that nobody waits for it. It sets job_status, and
# job_timed_out to 1 when time was up.
supervise() {
	supervise_timeout=$1 supervise_interval=$2 supervise_tick=$3
	shift 3
	rm -f "$SLIPWAY_STATE/timed-out" "$SLIPWAY_STATE/watching"
	"$@" 3>&- &
	supervise_pid=$!
	slipway_job=$supervise_pid
	watch_job "$supervise_pid" 3>&- &
	slipway_watcher=$!
	job_status=0
	wait "$slipway_job" || job_status=$?
	slipway_job=''
	# A signal that comes while a shell is still forking is lost, and then we
	# would wait for ever.
	until [ -e "$SLIPWAY_STATE/watching" ] || ! kill -0 "$slipway_watcher" 2>/dev/null; do
		slipway_sleep 0.02
	done
	kill -s TERM "$slipway_watcher" 2>/dev/null || :
	wait "$slipway_watcher" || :
	slipway_watcher=''
	if [ -r "$SLIPWAY_STATE/queue/fatal" ]; then
		slipway_kill_group "$supervise_pid"
		read -r fatal <"$SLIPWAY_STATE/queue/fatal"
		slipway_log "stopped: nobody waits for this machine any more"
		slipway_check "$fatal"
	fi
	job_timed_out=''
	if [ -e "$SLIPWAY_STATE/timed-out" ]; then
		slipway_kill_group "$supervise_pid"
		job_timed_out=1
	fi
}

# watch_job PID is the other half of supervise.
watch_job() {
	trap - EXIT
	set +e
	nap=''
	# shellcheck disable=SC2064,SC2154 # $nap is meant at the time of the signal
	trap '[ -z "$nap" ] || kill "$nap" 2>/dev/null; exit 0' TERM
	: >"$SLIPWAY_STATE/watching"
	SLIPWAY_CONSOLE=''
	watch_until=$(($(date +%s) + supervise_timeout))
	while :; do
		watch_left=$((watch_until - $(date +%s)))
		if [ "$supervise_timeout" -gt 0 ] && [ "$watch_left" -le 0 ]; then
			: >"$SLIPWAY_STATE/timed-out"
			watch_stop "$1"
			return 0
		fi
		watch_pause=$supervise_interval
		if [ "$supervise_timeout" -gt 0 ] && [ "$watch_left" -lt "${supervise_interval%.*}" ]; then
			watch_pause=$watch_left
		fi
		sleep "$watch_pause" &
		nap=$!
		wait "$nap"
		nap=''
		if ! kill -0 "$1" 2>/dev/null; then
			return 0
		fi
		"$supervise_tick"
		case $? in
		5 | 6)
			watch_stop "$1"
			return 0
			;;
		esac
	done
}

# watch_stop PID ends the job, first politely. The grace is a sleep of its own,
# so that a job that ends earlier ends the waiting too (see watch_job's trap).
watch_stop() {
	slipway_kill TERM "$1"
	sleep "${SLIPWAY_KILL_GRACE:-10}" &
	nap=$!
	wait "$nap"
	slipway_kill KILL "$1"
}

tick_heartbeat() {
	SLIPWAY_PATIENCE=0 sh "$SLIPWAY_REPORT" --heartbeat
}

# tick_download reports how far the downloads are, when that has changed.
tick_download() {
	part_size=0
	if [ -f "$part" ]; then
		part_size=$(wc -c <"$part")
	fi
	download_percent "$((bytes_done + part_size))"
	if [ "$value" = "$last_percent" ]; then
		tick_heartbeat
		return $?
	fi
	last_percent=$value
	SLIPWAY_PATIENCE=0 sh "$SLIPWAY_REPORT" image_download in_progress "downloading $artifact ($index of $CFG_ARTIFACTS_COUNT)" --progress "$value"
}

# --- artifacts -----------------------------------------------------------

# download_percent BYTES sets value to the share of all artifacts, by size where
# the configuration tells sizes, else by number.
download_percent() {
	if [ "$bytes_total" -gt 0 ]; then
		value=$(($1 * 100 / bytes_total))
	else
		value=$(((index - 1) * 100 / CFG_ARTIFACTS_COUNT))
	fi
	if [ "$value" -gt 100 ]; then
		value=100
	fi
}

# ask_slot asks the server once whether this machine may download now. It sets
# http_code, slot_answer to the answer's line, and slot_pause to the seconds after
# which the server wants to be asked again.
ask_slot() {
	: >"$SLIPWAY_STATE/http-headers"
	: >"$SLIPWAY_STATE/http-error"
	: >"$SLIPWAY_STATE/slot"
	if command -v curl >/dev/null 2>&1; then
		http_code=$(curl -sS -K "$SLIPWAY_STATE/curl" -o "$SLIPWAY_STATE/slot" -D "$SLIPWAY_STATE/http-headers" -w '%{http_code}' --connect-timeout 10 --max-time 60 \
			-H 'Expect:' -H 'Accept: text/plain' --data "bytes=$bytes_total" "$SLIPWAY_URL/boot/downloads" 2>"$SLIPWAY_STATE/http-error") || http_code=000
	else
		http_nc POST "$SLIPWAY_URL/boot/downloads" "$SLIPWAY_STATE/slot" "bytes=$bytes_total"
	fi
	slot_answer=$(head -c 300 "$SLIPWAY_STATE/slot" | head -n 1 | tr -d '\r')
	slot_pause=$(sed -n "s/^[Rr][Ee][Tt][Rr][Yy]-[Aa][Ff][Tt][Ee][Rr]: *\\([0-9][0-9]*\\)[ $slipway_cr]*\$/\\1/p" "$SLIPWAY_STATE/http-headers" | tail -n 1)
	slot_pause=${slot_pause:-5}
	if [ "$slot_pause" -gt "${SLIPWAY_RETRY_AFTER_MAX:-300}" ]; then
		slot_pause=${SLIPWAY_RETRY_AFTER_MAX:-300}
	fi
}

# await_slot waits for the server's word that this machine may download. A server
# that knows no slots, or that does not answer for SLIPWAY_CONFIG_PATIENCE, does not
# keep it from its work.
await_slot() {
	slot_seen=''
	slot_told=''
	slot_told_at=0
	slot_failures=0
	slot_patience=$(($(date +%s) + ${SLIPWAY_CONFIG_PATIENCE:-600}))
	while :; do
		ask_slot
		slot_clock=$(date +%s)
		case $http_code in
		2??)
			if [ -n "$slot_told" ]; then
				slipway_tell image_download in_progress "a download slot is free: downloading $CFG_ARTIFACTS_COUNT artifacts" --progress 0
			fi
			return 0
			;;
		429)
			slot_failures=0
			slot_patience=$((slot_clock + ${SLIPWAY_CONFIG_PATIENCE:-600}))
			slot_answer=${slot_answer:-waiting for a download slot}
			if [ "$slot_answer" != "$slot_seen" ]; then
				slot_seen=$slot_answer
				slipway_log "$slot_answer"
			fi
			if [ "$slot_answer" != "$slot_told" ] && [ "$((slot_clock - slot_told_at))" -ge "${SLIPWAY_POSITION_INTERVAL:-60}" ]; then
				slot_told=$slot_answer
				slot_told_at=$slot_clock
				slipway_tell image_download in_progress "$slot_answer" --progress 0
			fi
			slipway_sleep "$slot_pause"
			continue
			;;
		401)
			slipway_log "the server does not accept the token (401): $slot_answer"
			slipway_check 5
			;;
		409)
			case $slot_answer in
			*deployment_ended*)
				slipway_log "no download slot: $slot_answer"
				slipway_check 6
				;;
			esac
			# The report of this phase may still be in our queue.
			slipway_mine=''
			slipway_flush "${SLIPWAY_PATIENCE:-15}" || slipway_check "$?"
			;;
		408 | 425 | 5?? | 000) ;;
		*)
			slipway_log "this server gives no download slots (HTTP $http_code): downloading without one"
			return 0
			;;
		esac
		slot_error="HTTP $http_code $slot_answer$(head -n 1 "$SLIPWAY_STATE/http-error")"
		if [ "$slot_clock" -ge "$slot_patience" ]; then
			slipway_log "no answer about a download slot ($slot_error) for ${SLIPWAY_CONFIG_PATIENCE:-600} seconds: downloading without one"
			return 0
		fi
		slot_failures=$((slot_failures + 1))
		slipway_log "asking for a download slot: $slot_error; trying again"
		early_nap "$slot_failures"
	done
}

# transfer URL FILE replaces the shell by the program that downloads the rest of
# a file. Its status is the program's, the HTTP status is in transfer-code.
transfer() {
	if command -v curl >/dev/null 2>&1; then
		exec curl -fsS -C - --connect-timeout 10 --speed-limit 1 --speed-time "${SLIPWAY_STALL:-60}" \
			-w '%{http_code}' -o "$2" "$1" >"$SLIPWAY_STATE/transfer-code" 2>"$SLIPWAY_STATE/transfer-error"
	fi
	exec wget -q -c -O "$2" "$1" 2>"$SLIPWAY_STATE/transfer-error"
}

# download URL PART gets the whole file, resuming after every broken try.
download() {
	try=0
	while :; do
		try=$((try + 1))
		: >"$SLIPWAY_STATE/transfer-code"
		: >"$SLIPWAY_STATE/transfer-error"
		supervise 0 "${SLIPWAY_PROGRESS_INTERVAL:-10}" tick_download transfer "$1" "$2"
		if [ "$job_status" -eq 0 ]; then
			return 0
		fi
		code=$(cat "$SLIPWAY_STATE/transfer-code")
		if [ -z "$code" ]; then
			code=$(sed -n -e 's/.*HTTP\/[0-9.]* \([1-5][0-9][0-9]\).*/\1/p' -e 's/.*ERROR \([1-5][0-9][0-9]\):.*/\1/p' "$SLIPWAY_STATE/transfer-error" | tail -n 1)
		fi
		reason="status $job_status, HTTP ${code:-000}: $(head -n 1 "$SLIPWAY_STATE/transfer-error")"
		case $code in
		416)
			# What we have is as long as the file, or longer: the sum tells.
			if [ "$size" = 0 ] || [ "$(wc -c <"$2")" -eq "$size" ]; then
				return 0
			fi
			rm -f "$2"
			;;
		408 | 425 | 429) ;;
		4??) slipway_fail "download of $artifact from $1: $reason" ;;
		esac
		if [ "$job_status" -eq 33 ]; then
			rm -f "$2" # this server cannot resume (CURLE_RANGE_ERROR)
		fi
		if [ "$try" -ge "${SLIPWAY_DOWNLOAD_TRIES:-10}" ]; then
			slipway_fail "download of $artifact from $1 failed $try times: $reason"
		fi
		slipway_log "download of $artifact: $reason; resuming"
		early_nap "$try"
	done
}

# get_artifact makes sure that artifact, url, want_sum and size are in place as a
# file with that sum. What does not fit is fetched once more from its beginning.
get_artifact() {
	file=$SLIPWAY_ARTIFACT_DIR/$artifact
	part=$file.part
	if [ -f "$file" ]; then
		mv -f "$file" "$part"
	fi
	for round in first second; do
		if [ "$size" = 0 ] || [ ! -f "$part" ] || [ "$(wc -c <"$part")" -ne "$size" ]; then
			download "$url" "$part"
		fi
		sum=$(sha256sum <"$part")
		sum=${sum%% *}
		if [ "$sum" = "$want_sum" ]; then
			mv -f "$part" "$file"
			return 0
		fi
		slipway_log "$artifact: sha256 is $sum, expected $want_sum ($round download)"
		rm -f "$part"
	done
	slipway_fail "$artifact: sha256 is $sum, expected $want_sum (downloaded twice from $url)"
}

download_artifacts() {
	bytes_total=0
	bytes_done=0
	index=1
	while [ "$index" -le "$CFG_ARTIFACTS_COUNT" ]; do
		cfg "ARTIFACTS_${index}_SIZE"
		bytes_total=$((bytes_total + ${value:-0}))
		index=$((index + 1))
	done
	await_slot
	last_percent=0
	index=1
	details=''
	while [ "$index" -le "$CFG_ARTIFACTS_COUNT" ]; do
		cfg "ARTIFACTS_${index}_NAME"
		artifact=$value
		cfg "ARTIFACTS_${index}_URL"
		url=$value
		cfg "ARTIFACTS_${index}_SHA256"
		want_sum=$value
		cfg "ARTIFACTS_${index}_SIZE"
		size=${value:-0}
		case $artifact in
		'' | .* | */*) slipway_fail "artifact $index: \"$artifact\" is no file name" ;;
		esac
		get_artifact
		bytes_done=$((bytes_done + size))
		details="$details${details:+,}{\"name\":$(slipway_json "$artifact"),\"sha256\":\"$want_sum\",\"size\":$(wc -c <"$file" | tr -d ' ')}"
		index=$((index + 1))
		download_percent "$bytes_done"
		last_percent=$value
		slipway_tell image_download in_progress "$artifact is here, sha256 checked ($((index - 1)) of $CFG_ARTIFACTS_COUNT)" --progress "$value"
	done
}

# --- the installer -------------------------------------------------------

# run_installer runs the artifact that the configuration names, with its
# arguments, as the leader of a process group that can be stopped as one.
run_installer() {
	installer=$SLIPWAY_ARTIFACT_DIR/$CFG_INSTALLER_ARTIFACT
	if [ -z "$CFG_INSTALLER_ARTIFACT" ] || [ ! -f "$installer" ]; then
		slipway_fail "the installer \"$CFG_INSTALLER_ARTIFACT\" is not among the artifacts"
	fi
	timeout=${CFG_INSTALLER_TIMEOUT:-0}
	if [ "$timeout" -eq 0 ]; then
		timeout=3600
	fi
	export SLIPWAY_ARTIFACT_DIR SLIPWAY_REPORT SLIPWAY_ERROR_FILE SLIPWAY_CVM_KEY_FILE
	set -- sh "$installer"
	if command -v setsid >/dev/null 2>&1; then
		set -- setsid sh "$installer"
	fi
	index=1
	while [ "$index" -le "${CFG_INSTALLER_ARGS_COUNT:-0}" ]; do
		eval "set -- \"\$@\" \"\$CFG_INSTALLER_ARGS_$index\""
		index=$((index + 1))
	done
	supervise "$timeout" "$SLIPWAY_HEARTBEAT" tick_heartbeat start_installer "$@"
	if [ -n "$job_timed_out" ]; then
		slipway_fail "installer $CFG_INSTALLER_ARTIFACT was stopped, it had not ended after $timeout seconds"
	fi
	if [ "$job_status" -ne 0 ]; then
		own_words=''
		if [ -s "$SLIPWAY_ERROR_FILE" ]; then
			own_words=": $(head -c 500 "$SLIPWAY_ERROR_FILE")"
		fi
		slipway_fail "installer $CFG_INSTALLER_ARTIFACT ended with status $job_status$own_words"
	fi
}

# start_installer replaces the shell that supervise made by the installer.
start_installer() {
	trap - EXIT HUP INT TERM
	umask 022 # ours would make a system whose files nobody but root can read
	unset SLIPWAY_TOKEN SLIPWAY_CONSOLE
	exec "$@"
}

# --- all of it -----------------------------------------------------------

trap early_exit EXIT
read_cmdline
if [ -z "$SLIPWAY_URL" ] || [ -z "$SLIPWAY_IP" ] || [ -z "$SLIPWAY_TOKEN" ]; then
	early_fail "slipway.url, slipway.ip and slipway.token must all be on the kernel's command line or in the environment"
fi
early_log "installing $SLIPWAY_IP from $SLIPWAY_URL"
forget_other_boots
for name in report.sh network-config.sh post-install.sh; do
	fetch_script "$name"
done
# shellcheck source=report.sh
. "$SLIPWAY_REPORT"
slipway_guard foundation-init.sh foundation_start
slipway_auth || slipway_fail "the report token cannot be used"
fetch_config
check_scripts
slipway_tell foundation_start in_progress "install environment of $CFG_NODE_CONFIG_NODE_NAME is running"
slipway_tell foundation_start success "configuration of $CFG_NODE_CONFIG_NODE_NAME is loaded"

slipway_phase=network_config
run_script network-config.sh

slipway_phase=storage_discovery
slipway_tell storage_discovery in_progress "looking for disks"
find_disks
slipway_tell storage_discovery success "boot disk $boot_disk, data disks ${data_disks:-none}" --details "{$(disks_json)}"

slipway_phase=image_download
slipway_tell image_download in_progress "downloading $CFG_ARTIFACTS_COUNT artifacts" --progress 0
download_artifacts
slipway_tell image_download success "$CFG_ARTIFACTS_COUNT artifacts are here, sha256 checked" --progress 100 --details "{\"artifacts\":[$details]}"

slipway_phase=installation
slipway_tell installation in_progress "installer $CFG_INSTALLER_ARTIFACT is running"
run_installer
slipway_tell installation success "installer $CFG_INSTALLER_ARTIFACT has ended well"

slipway_phase=post_install
run_script post-install.sh
slipway_log "installed; the machine may restart"
