#!/bin/sh
# kvjudge serve with curl: a chat, a stream, a document that is read once and asked about.
#
#   kvjudge serve -m smollm2-135m-instruct &
#   sh examples/serve/curl.sh
set -eu
url=${KVJUDGE_URL:-http://127.0.0.1:8080}

ask() {
  path=$1
  shift
  curl --silent --show-error --fail-with-body --no-buffer "$url$path" \
    -H 'content-type: application/json' \
    -H "authorization: Bearer ${KVJUDGE_API_KEY:-none}" "$@"
  echo
}

ask /v1/chat/completions -d '{
  "messages": [{"role": "user", "content": "What is the capital of France?"}],
  "temperature": 0, "max_tokens": 20,
  "eviction": {"policy": "snapkv", "budget": 256}
}'

ask /v1/chat/completions -d '{
  "messages": [{"role": "user", "content": "Count to five."}],
  "temperature": 0, "max_tokens": 20, "stream": true
}'

document=$(ask /v1/documents -d '{
  "text": "Mill Lane has 12 houses. The baker lives in the third one.",
  "eviction": {"policy": "keydiff", "budget": "50%"}
}' | sed 's/.*"id":"\([^"]*\)".*/\1/')

ask /v1/chat/completions -d "{
  \"document\": \"$document\",
  \"messages\": [{\"role\": \"user\", \"content\": \"How many houses are there?\"}],
  \"temperature\": 0, \"max_tokens\": 20
}"

ask "/v1/documents/$document" -X DELETE
