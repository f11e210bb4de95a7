#!/usr/bin/env bash
# A receiver of Offboard's events in a shell and openssl: verify, remember, answer, then work. It takes one request from
# its standard input and answers to its standard output, as inetd, systemd sockets and socat start it:
#
#     SECRET=whsec_… SEEN=seen.txt socat TCP-LISTEN:9003,bind=127.0.0.1,fork,reuseaddr EXEC:./receiver.sh
#
# What was heard goes to the file LOG, or to standard error.
set -euo pipefail

answer() {
    printf 'HTTP/1.1 %s\r\nContent-Length: 0\r\nConnection: close\r\n\r\n' "$1"
    exit 0
}

say() { echo "$@" >>"${LOG:-/dev/stderr}"; }

id='' timestamp='' signatures='' length=0
read -r _request
while IFS= read -r line; do
    line=${line%$'\r'}
    [ -n "$line" ] || break
    value=${line#*:}
    value=${value# }
    case $(printf '%s' "${line%%:*}" | tr '[:upper:]' '[:lower:]') in
    webhook-id) id=$value ;;
    webhook-timestamp) timestamp=$value ;;
    webhook-signature) signatures=$value ;;
    content-length) length=$value ;;
    esac
done
# Nothing of it is trusted yet: what goes into a command has to look like what it is.
[[ $id =~ ^[A-Za-z0-9_-]+$ && $timestamp =~ ^[0-9]{1,12}$ && $length =~ ^[0-9]{1,5}$ ]] || answer '400 Bad Request'

body=$(mktemp)
trap 'rm -f "$body"' EXIT
head -c "$length" >"$body"

age=$(($(date +%s) - 10#$timestamp))
[ "${age#-}" -le 300 ] || answer '401 Unauthorized'

signature() { # with the secret $1, of the bytes as they came
    local key
    key=$(printf '%s' "${1#whsec_}" | base64 -d | od -An -v -tx1 | tr -d ' \n')
    { printf '%s.%s.' "$id" "$timestamp"; cat "$body"; } |
        openssl dgst -sha256 -mac HMAC -macopt "hexkey:$key" -binary | base64 -w0
}

blind() { printf '%s' "$1" | openssl dgst -sha256 -r; } # so that comparing tells nothing by its time

# After a rotation two secrets are good for a day: SECRET=new,old
genuine=''
for secret in ${SECRET//,/ }; do
    expected=$(blind "v1,$(signature "$secret")")
    for given in $signatures; do
        [ "$(blind "$given")" = "$expected" ] && genuine=yes
    done
done
[ -n "$genuine" ] || answer '401 Unauthorized'

# In a real receiver: a table with a unique column.
seen=${SEEN:?a file that remembers the ids of what was heard}
touch "$seen"
if grep -qxF -- "$id" "$seen"; then
    say again "$id"
    answer '204 No Content'
fi
echo "$id" >>"$seen"
# Here: put it into your own queue. Of the envelope, without a parser: its type comes first.
say "$(sed -E 's/^\{"type":"([a-z_.]+)".*"sequence":([0-9]+|null).*/\1 \2/' "$body")"
answer '204 No Content'
