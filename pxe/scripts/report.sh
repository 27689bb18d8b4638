#!/bin/sh
# report.sh - tells Slipway what this machine is doing.
#
# As a command:
#   sh report.sh PHASE STATUS [MESSAGE] [--progress N] [--details JSON] [--log FILE] [--final]
#   sh report.sh --heartbeat        the last report once more: "still alive"
#   sh report.sh --flush [--final]  sends what is buffered
# As a library:
#   . ./report.sh                   gives the slipway_* functions below
#
# A report is first written to a queue on disk, with its own time and its own
# idempotency key, and the queue is sent strictly first in, first out. While
# Slipway is away it only grows; nothing is lost and nothing overtakes.
# A report of status "failed" carries the last 64 KiB of the log.
#
# Exit codes
#   0  the server has it (a duplicate counts)
#   1  it could not even be written to the queue
#   2  wrong usage
#   3  the server refused it (a 4xx); the answer is printed, the report dropped
#   4  buffered: the server is away or asked to wait
#   5  401: the token is not valid (fatal)
#   6  deployment_ended: nobody waits for this machine any more (fatal)
#
# Environment
#   SLIPWAY_ROOT      root of the install environment; empty is the real /
#   SLIPWAY_STATE     queue, token and configuration ($SLIPWAY_ROOT/var/lib/slipway)
#   SLIPWAY_LOG       the log whose tail is sent ($SLIPWAY_ROOT/var/log/slipway/install.log)
#   SLIPWAY_URL       base URL; reports go to $CFG_REPORT_URL, else $SLIPWAY_URL/api/status/phase
#   SLIPWAY_IP        the machine's management address (else $CFG_NODE_CONFIG_MGMT_IP)
#   SLIPWAY_TOKEN     report token (else $CFG_REPORT_TOKEN, else the file $SLIPWAY_STATE/token)
#   SLIPWAY_PATIENCE  seconds one report tries before it is left in the queue (15)
#   SLIPWAY_FINAL_PATIENCE  the same with --final, where nothing comes after (3600)
#   SLIPWAY_BACKOFF   seconds between tries, the last one repeats ("1 2 4 8 15 30 60")
#   SLIPWAY_HTTP_TIMEOUT    seconds for one request (30)
#   SLIPWAY_RETRY_AFTER_MAX longest Retry-After that is obeyed, in seconds (300)
#
# The token is never an argument of a process: curl reads it from a file of
# mode 0600, and wget, which cannot, gets it inside the body. wget shows nothing
# of an error but its status line, so with it deployment_ended looks like any
# other refusal and Retry-After is not seen.

SLIPWAY_ROOT=${SLIPWAY_ROOT:-}
SLIPWAY_STATE=${SLIPWAY_STATE:-$SLIPWAY_ROOT/var/lib/slipway}
SLIPWAY_LOG=${SLIPWAY_LOG:-$SLIPWAY_ROOT/var/log/slipway/install.log}
SLIPWAY_BACKOFF=${SLIPWAY_BACKOFF:-1 2 4 8 15 30 60}
slipway_queue=$SLIPWAY_STATE/queue
slipway_tab=$(printf '\t')
slipway_cr=$(printf '\r')

# --- words ---------------------------------------------------------------

# slipway_now prints the time, UTC, RFC 3339. busybox date may not know %N.
slipway_now() {
	slipway_time=$(date -u +%Y-%m-%dT%H:%M:%S.%N)
	case $slipway_time in
	*[!0-9T:.-]*) printf '%sZ\n' "${slipway_time%.*}" ;;
	*) printf '%sZ\n' "${slipway_time%???}" ;;
	esac
}

# slipway_log MESSAGE... writes to the log, and to the console when there is one.
slipway_log() {
	slipway_line="$(slipway_now) $*"
	printf '%s\n' "$slipway_line"
	if [ -n "${SLIPWAY_CONSOLE:-}" ]; then
		printf '%s\n' "$slipway_line" 2>/dev/null >&3 || :
	fi
}

# slipway_open_log sends all output to the log from here on; the console is kept
# as descriptor 3. A child of a script that has done it inherits both.
slipway_open_log() {
	if [ -n "${SLIPWAY_CONSOLE:-}" ]; then
		return 0
	fi
	mkdir -p "${SLIPWAY_LOG%/*}"
	exec 3>&1 >>"$SLIPWAY_LOG" 2>&1
	SLIPWAY_CONSOLE=3
	export SLIPWAY_CONSOLE
}

# slipway_json_text makes standard input fit between the quotes of a JSON string.
slipway_json_text() {
	LC_ALL=C tr -d '\000-\010\013\014\016-\037' |
		LC_ALL=C sed -e 's/\\/\\\\/g' -e 's/"/\\"/g' -e "s/$slipway_tab/\\\\t/g" -e "s/$slipway_cr/\\\\r/g" -e '$!s/$/\\n/' |
		LC_ALL=C tr -d '\n'
}

# slipway_json STRING prints it as a JSON string.
slipway_json() {
	printf '"'
	printf '%s' "$1" | slipway_json_text
	printf '"'
}

# slipway_redact takes the token out of what leaves this machine. It travels by
# environment, which other users cannot read, not by argument.
slipway_redact() {
	SLIPWAY_SECRET=$slipway_token LC_ALL=C awk '
		BEGIN { secret = ENVIRON["SLIPWAY_SECRET"] }
		{
			while (secret != "" && (i = index($0, secret)) > 0)
				$0 = substr($0, 1, i - 1) "[token]" substr($0, i + length(secret))
			print
		}'
}

# slipway_log_tail FILE prints its last 64 KiB, from the start of a line.
slipway_log_tail() {
	if [ "$(wc -c <"$1")" -le 65536 ]; then
		cat "$1"
	elif [ "$(tail -c 65536 "$1" | wc -l)" -gt 1 ]; then
		tail -c 65536 "$1" | sed 1d
	else
		tail -c 65536 "$1"
	fi
}

# slipway_backoff N prints how long to wait after the Nth failure.
slipway_backoff() {
	slipway_nth=$1
	# shellcheck disable=SC2086 # a list of numbers
	set -- $SLIPWAY_BACKOFF
	while [ "$slipway_nth" -gt 1 ] && [ $# -gt 1 ]; do
		slipway_nth=$((slipway_nth - 1))
		shift
	done
	printf '%s\n' "$1"
}

# slipway_sleep SECONDS sleeps; a sleep that knows no fractions gets a whole second.
slipway_sleep() {
	sleep "$1" 2>/dev/null || sleep 1
}

# --- the token -----------------------------------------------------------

# slipway_auth finds the token and writes the files that keep it out of arguments.
slipway_auth() {
	slipway_token=${SLIPWAY_TOKEN:-${CFG_REPORT_TOKEN:-}}
	if [ -z "$slipway_token" ] && [ -r "$SLIPWAY_STATE/token" ]; then
		IFS= read -r slipway_token <"$SLIPWAY_STATE/token" || :
	fi
	case $slipway_token in
	'' | *[!A-Za-z0-9_.~+/=-]*)
		echo "report.sh: there is no report token, or it is not one" >&2
		return 2
		;;
	esac
	slipway_mask=$(umask)
	umask 077
	mkdir -p "$SLIPWAY_STATE" "$slipway_queue" || return 1
	# A reader must never see half a file, and several processes may write it.
	printf '%s\n' "$slipway_token" >"$SLIPWAY_STATE/token.$$" || return 1
	printf 'header = "Authorization: Bearer %s"\n' "$slipway_token" >"$SLIPWAY_STATE/curl.$$" || return 1
	mv -f "$SLIPWAY_STATE/token.$$" "$SLIPWAY_STATE/token" || return 1
	mv -f "$SLIPWAY_STATE/curl.$$" "$SLIPWAY_STATE/curl" || return 1
	umask "$slipway_mask"
}

# --- the queue -----------------------------------------------------------

# slipway_lock lets one process at a time touch the queue. The lock is a
# symbolic link that names its holder: made atomically, and a dead holder shows.
slipway_lock() {
	slipway_spins=0
	until ln -s "$$" "$slipway_queue/lock" 2>/dev/null; do
		slipway_holder=$(readlink "$slipway_queue/lock" 2>/dev/null) || slipway_holder=
		if [ "$slipway_holder" = "$$" ]; then
			return 0 # a signal came while we held it
		fi
		if [ -n "$slipway_holder" ] && ! kill -0 "$slipway_holder" 2>/dev/null; then
			slipway_break_lock "$slipway_holder"
		elif [ -z "$slipway_holder" ] && [ ! -w "$slipway_queue" ]; then
			return 1
		else
			slipway_sleep 0.1
		fi
	done
}

# slipway_break_lock PID removes a dead process's lock. Only one process at a
# time may do so, and only after another look: the lock may be a living one's by
# now. Who died just here is waited for a hundred times, not for ever.
slipway_break_lock() {
	if mkdir "$slipway_queue/breaking" 2>/dev/null; then
		if [ "$(readlink "$slipway_queue/lock" 2>/dev/null)" = "$1" ]; then
			rm -f "$slipway_queue/lock"
		fi
		rmdir "$slipway_queue/breaking"
		return 0
	fi
	slipway_spins=$((slipway_spins + 1))
	if [ "$slipway_spins" -ge 100 ]; then
		rmdir "$slipway_queue/breaking" 2>/dev/null || :
		slipway_spins=0
	fi
	slipway_sleep 0.1
}

slipway_unlock() {
	rm -f "$slipway_queue/lock"
}

# slipway_head sets slipway_first to the oldest report, or to nothing.
slipway_head() {
	slipway_first=
	for slipway_file in "$slipway_queue"/*.json; do
		if [ -f "$slipway_file" ]; then
			slipway_first=$slipway_file
		fi
		return 0
	done
}

# slipway_enqueue writes the report in slipway_phase_key and its companions as
# the newest of the queue and sets slipway_mine to its file.
slipway_enqueue() {
	slipway_key=$(od -An -N16 -tx1 /dev/urandom | tr -d ' \n') || return 1
	{
		printf '{"server_ip":%s' "$(slipway_json "${SLIPWAY_IP:-${CFG_NODE_CONFIG_MGMT_IP:-}}")"
		printf ',"phase":%s,"status":%s' "$(slipway_json "$slipway_phase_key")" "$(slipway_json "$slipway_word")"
		printf ',"message":%s' "$(slipway_json "$slipway_message")"
		if [ -n "$slipway_progress" ]; then
			printf ',"progress":%s' "$slipway_progress"
		fi
		if [ -n "$slipway_details" ]; then
			printf ',"details":%s' "$slipway_details" | tr '\n' ' '
		fi
		if [ -n "$slipway_log_file" ] && [ -r "$slipway_log_file" ]; then
			printf ',"log_tail":"'
			slipway_log_tail "$slipway_log_file" | slipway_json_text
			printf '"'
		fi
		printf ',"occurred_at":"%s","idempotency_key":"%s"}\n' "$(slipway_now)" "$slipway_key"
	} | slipway_redact >"$slipway_queue/new.$$" || return 1
	slipway_lock || return 1
	slipway_next=0
	if [ -r "$slipway_queue/next" ]; then
		read -r slipway_next <"$slipway_queue/next" || :
	fi
	slipway_next=$((slipway_next + 1))
	slipway_mine=$slipway_queue/$(printf '%010d' "$slipway_next").json
	if printf '%s\n' "$slipway_next" >"$slipway_queue/next" && mv "$slipway_queue/new.$$" "$slipway_mine"; then
		slipway_unlock
		return 0
	fi
	slipway_unlock
	return 1
}

# --- HTTP ----------------------------------------------------------------

# slipway_post FILE posts one report. It sets slipway_code to the HTTP status
# (000: no answer), slipway_answer to one line for a person and
# slipway_retry_after to the seconds the server asked for, if it did.
slipway_post() {
	slipway_url=${CFG_REPORT_URL:-${SLIPWAY_URL:-}/api/status/phase}
	slipway_retry_after=
	: >"$slipway_queue/answer"
	: >"$slipway_queue/headers"
	: >"$slipway_queue/error"
	if command -v curl >/dev/null 2>&1; then
		slipway_post_curl "$1"
	else
		slipway_post_wget "$1"
	fi
	IFS= read -r slipway_answer <"$slipway_queue/answer" || [ -n "$slipway_answer" ] || slipway_answer=$(head -n 1 "$slipway_queue/error")
}

slipway_post_curl() {
	slipway_code=$(curl -sS -K "$SLIPWAY_STATE/curl" -o "$slipway_queue/answer" -D "$slipway_queue/headers" -w '%{http_code}' \
		--connect-timeout 10 --max-time "${SLIPWAY_HTTP_TIMEOUT:-30}" -H 'Expect:' -H 'Content-Type: application/json' \
		-H 'Accept: text/plain' --data-binary "@$1" "$slipway_url" 2>"$slipway_queue/error") || slipway_code=000
	slipway_retry_after=$(sed -n "s/^[Rr][Ee][Tt][Rr][Yy]-[Aa][Ff][Tt][Ee][Rr]: *\\([0-9][0-9]*\\)[ $slipway_cr]*\$/\\1/p" "$slipway_queue/headers" | tail -n 1)
}

slipway_post_wget() {
	slipway_umask=$(umask)
	umask 077
	{
		printf '{"token":"%s",' "$slipway_token"
		tail -c +2 "$1"
	} >"$slipway_queue/body"
	umask "$slipway_umask"
	slipway_limit=
	if command -v timeout >/dev/null 2>&1; then
		slipway_limit="timeout ${SLIPWAY_HTTP_TIMEOUT:-30}"
	fi
	# shellcheck disable=SC2086 # two words, or none
	if $slipway_limit wget -q -O "$slipway_queue/answer" --header 'Content-Type: application/json' \
		--header 'Accept: text/plain' --post-file "$slipway_queue/body" "$slipway_url" 2>"$slipway_queue/error"; then
		slipway_code=200
	else
		slipway_code=$(sed -n -e 's/.*HTTP\/[0-9.]* \([1-5][0-9][0-9]\).*/\1/p' -e 's/.*ERROR \([1-5][0-9][0-9]\):.*/\1/p' "$slipway_queue/error" | tail -n 1)
		slipway_code=${slipway_code:-000}
	fi
	rm -f "$slipway_queue/body"
}

# slipway_ended is true when the answer says that the deployment is over.
slipway_ended() {
	grep -q deployment_ended "$slipway_queue/answer" "$slipway_queue/headers"
}

# slipway_hold SECONDS keeps every process from sending before that time.
slipway_hold() {
	slipway_seconds=$1
	if [ "$slipway_seconds" -gt "${SLIPWAY_RETRY_AFTER_MAX:-300}" ]; then
		slipway_seconds=${SLIPWAY_RETRY_AFTER_MAX:-300}
	fi
	printf '%s\n' "$(($(date +%s) + slipway_seconds))" >"$slipway_queue/not-before"
}

# slipway_held is true while the server has asked for silence; slipway_not_before
# is the end of it.
slipway_held() {
	slipway_clock=$(date +%s)
	slipway_not_before=0
	if [ -r "$slipway_queue/not-before" ]; then
		read -r slipway_not_before <"$slipway_queue/not-before" || :
	fi
	[ "$slipway_not_before" -gt "$slipway_clock" ]
}

# slipway_send_first sends the oldest report once. It returns 0 when the head of
# the queue has been dealt with, 4 when it must wait, 5 or 6 when all is over.
# The caller holds the lock.
slipway_send_first() {
	slipway_post "$slipway_first"
	case $slipway_code in
	2??)
		mv -f "$slipway_first" "$slipway_queue/last"
		slipway_log "reported: ${slipway_answer:-accepted}"
		;;
	401)
		printf '5\n' >"$slipway_queue/fatal"
		slipway_log "report not accepted, the token is not valid (401): $slipway_answer"
		return 5
		;;
	408 | 425 | 429)
		slipway_log "report has to wait ($slipway_code): $slipway_answer"
		return 4
		;;
	4??)
		if slipway_ended; then
			printf '6\n' >"$slipway_queue/fatal"
			slipway_log "report not accepted, the deployment has ended: $slipway_answer"
			return 6
		fi
		rm -f "$slipway_first"
		slipway_log "report refused ($slipway_code), dropped: $slipway_answer"
		if [ "$slipway_first" = "$slipway_mine" ]; then
			slipway_refused=3
		fi
		;;
	*)
		slipway_log "report not delivered (HTTP $slipway_code), kept: $slipway_answer"
		return 4
		;;
	esac
}

# slipway_flush SECONDS empties the queue, trying for so long. It returns 0, or
# 3 when the report in slipway_mine was refused, or 4, 5 or 6 as above.
slipway_flush() {
	slipway_deadline=$(($(date +%s) + $1))
	slipway_failures=0
	slipway_refused=0
	while :; do
		slipway_lock || return 4
		slipway_head
		if [ -z "$slipway_first" ]; then
			slipway_unlock
			return "$slipway_refused"
		fi
		if slipway_held; then
			slipway_unlock
			slipway_nap=$((slipway_not_before - slipway_clock))
			if [ "$slipway_not_before" -gt "$slipway_deadline" ]; then
				return 4
			fi
		else
			slipway_result=0
			slipway_send_first || slipway_result=$?
			if [ "$slipway_result" = 4 ] && [ -n "$slipway_retry_after" ]; then
				slipway_hold "$slipway_retry_after"
			fi
			slipway_unlock
			case $slipway_result in
			0)
				slipway_failures=0
				continue
				;;
			5 | 6) return "$slipway_result" ;;
			esac
			if [ -n "$slipway_retry_after" ]; then
				continue
			fi
			if [ "$(date +%s)" -ge "$slipway_deadline" ]; then
				return 4
			fi
			slipway_failures=$((slipway_failures + 1))
			slipway_nap=$(slipway_backoff "$slipway_failures")
		fi
		slipway_sleep "$slipway_nap"
	done
}

# --- what scripts call ---------------------------------------------------

# slipway_report PHASE STATUS [MESSAGE] [OPTIONS] is the command of this file.
slipway_report() {
	if [ $# -lt 2 ]; then
		echo "usage: report.sh PHASE STATUS [MESSAGE] [--progress N] [--details JSON] [--log FILE] [--final]" >&2
		return 2
	fi
	slipway_phase_key=$1 slipway_word=$2 slipway_message='' slipway_progress='' slipway_details='' slipway_log_file=''
	slipway_patience=${SLIPWAY_PATIENCE:-15}
	shift 2
	case ${1:-} in
	'' | --*) ;;
	*)
		slipway_message=$1
		shift
		;;
	esac
	while [ $# -gt 0 ]; do
		case $1 in
		'') ;;
		--final) slipway_patience=${SLIPWAY_FINAL_PATIENCE:-3600} ;;
		--progress | --details | --log)
			if [ $# -lt 2 ]; then
				echo "report.sh: $1 needs a value" >&2
				return 2
			fi
			case $1 in
			--progress) slipway_progress=$2 ;;
			--details) slipway_details=$2 ;;
			--log) slipway_log_file=$2 ;;
			esac
			shift
			;;
		*)
			echo "report.sh: unknown argument: $1" >&2
			return 2
			;;
		esac
		shift
	done
	case $slipway_progress in
	*[!0-9]*)
		echo "report.sh: --progress is a whole number from 0 to 100" >&2
		return 2
		;;
	esac
	case $slipway_details in
	'' | '{'*) ;;
	*)
		echo "report.sh: --details is a JSON object" >&2
		return 2
		;;
	esac
	if [ "$slipway_word" = failed ] && [ -z "$slipway_log_file" ]; then
		slipway_log_file=$SLIPWAY_LOG
	fi
	slipway_auth || return
	slipway_enqueue || return 1
	slipway_flush "$slipway_patience"
}

# slipway_heartbeat sends the last report again, byte for byte, so that the
# server sees a duplicate and only notes that the machine lives. When reports
# wait in the queue, sending those says it better.
slipway_heartbeat() {
	slipway_auth || return
	slipway_mine=
	slipway_flush 0 || return
	if [ ! -f "$slipway_queue/last" ]; then
		return 0
	fi
	if slipway_held; then
		return 4
	fi
	slipway_lock || return 4
	slipway_post "$slipway_queue/last"
	slipway_result=0
	case $slipway_code in
	2??) ;;
	401) slipway_result=5 ;;
	409)
		if slipway_ended; then
			slipway_result=6
		fi
		;;
	429 | 503)
		slipway_result=4
		if [ -n "$slipway_retry_after" ]; then
			slipway_hold "$slipway_retry_after"
		fi
		;;
	4??) ;;
	*) slipway_result=4 ;;
	esac
	case $slipway_result in
	5 | 6)
		printf '%s\n' "$slipway_result" >"$slipway_queue/fatal"
		slipway_log "heartbeat not accepted ($slipway_code): $slipway_answer"
		;;
	esac
	slipway_unlock
	return "$slipway_result"
}

# --- failures ------------------------------------------------------------
#
# POSIX sh has no ERR trap, and Debian's dash does not even have LINENO. So the
# server writes "L=<line>;" before every command of a script it serves; with
# set -e and an EXIT trap that is enough to name the line that failed.

# slipway_guard SCRIPT PHASE makes every failure from here on a "failed" report.
# The script then exits with
#   1  failed, and reported          5, 6  as in report.sh
#   7  failed, but the report could not be delivered
slipway_guard() {
	slipway_script=$1
	slipway_phase=$2
	slipway_reason=
	slipway_where=
	slipway_extra=
	slipway_job=
	slipway_watcher=
	slipway_told=
	trap 'slipway_on_exit' EXIT
	trap 'exit 129' HUP
	trap 'exit 130' INT
	trap 'exit 143' TERM
}

# slipway_tell is slipway_report for guarded scripts: that the server is away or
# refuses a report does not stop the work, that nobody waits for it any more does.
slipway_tell() {
	slipway_report "$@" || slipway_check "$?"
}

# slipway_check STATUS ends the script if that outcome of a report is fatal.
slipway_check() {
	case $1 in
	5 | 6)
		slipway_told=1
		exit "$1"
		;;
	0 | 3 | 4) ;;
	*) slipway_fail "a report could not be written to $slipway_queue (status $1)" ;;
	esac
}

# slipway_fail MESSAGE ends a guarded script with that reason.
slipway_fail() {
	slipway_where=${slipway_where:-${L:-}}
	slipway_reason=$*
	exit 1
}

slipway_on_exit() {
	slipway_status=$? slipway_where=${slipway_where:-${L:-}}
	trap - EXIT
	trap '' HUP INT TERM
	set +e
	slipway_stop_job
	if [ "$slipway_status" -eq 0 ] || [ -n "$slipway_told" ]; then
		exit "$slipway_status"
	fi
	case $slipway_where in
	'') slipway_where=$slipway_script ;;
	*:*) ;;
	*) slipway_where=$slipway_script:$slipway_where ;;
	esac
	case $slipway_status in
	129 | 130 | 143) slipway_reason=${slipway_reason:-stopped by signal $((slipway_status - 128))} ;;
	*) slipway_reason=${slipway_reason:-a command failed with status $slipway_status} ;;
	esac
	slipway_line_number=${slipway_where##*:}
	case $slipway_line_number in
	*[!0-9]*) slipway_line_number=null ;;
	esac
	slipway_log "FAILED in $slipway_phase: $slipway_where: $slipway_reason"
	slipway_report "$slipway_phase" failed "$slipway_where: $slipway_reason" --final \
		--details "{\"script\":$(slipway_json "${slipway_where%%:*}"),\"line\":$slipway_line_number,\"exit_status\":$slipway_status$slipway_extra}"
	case $? in
	0) exit 1 ;;
	5) exit 5 ;;
	6) exit 6 ;;
	*) exit 7 ;;
	esac
}

# slipway_stop_job ends the background work of a script that is about to exit.
slipway_stop_job() {
	if [ -n "$slipway_watcher" ]; then
		kill -s KILL "$slipway_watcher" 2>/dev/null # any other signal is lost while it still forks
	fi
	if [ -n "$slipway_job" ]; then
		slipway_kill TERM "$slipway_job"
		(
			sleep "${SLIPWAY_KILL_GRACE:-10}"
			slipway_kill KILL "$slipway_job"
		) >/dev/null 2>&1 3>&- &
		slipway_killer=$!
		wait "$slipway_job" 2>/dev/null
		kill -s KILL "$slipway_killer" 2>/dev/null
		slipway_kill_group "$slipway_job"
	fi
	slipway_watcher=
	slipway_job=
}

# slipway_kill SIGNAL PID signals the process group that PID leads, else PID.
slipway_kill() {
	kill -s "$1" -- "-$2" 2>/dev/null || kill -s "$1" "$2" 2>/dev/null || :
}

# slipway_kill_group PID removes what is left of a stopped job's process group.
slipway_kill_group() {
	kill -s KILL -- "-$1" 2>/dev/null || :
}

# --- the command ---------------------------------------------------------

slipway_main() {
	if [ -r "$SLIPWAY_STATE/config.sh" ] && [ -z "${CFG_REPORT_URL:-}" ]; then
		# shellcheck source=/dev/null
		. "$SLIPWAY_STATE/config.sh"
	fi
	case ${1:-} in
	--heartbeat) slipway_heartbeat ;;
	--flush)
		slipway_mine=
		slipway_auth || return
		case ${2:-} in
		--final) slipway_flush "${SLIPWAY_FINAL_PATIENCE:-3600}" ;;
		*) slipway_flush "${SLIPWAY_PATIENCE:-15}" ;;
		esac
		;;
	*) slipway_report "$@" ;;
	esac
}

case ${0##*/} in
report.sh)
	set -u
	slipway_main "$@"
	exit $?
	;;
esac
