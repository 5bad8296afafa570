#!/bin/sh
# Checks the types of the widget's source. Needs npm, and the network once;
# building needs neither.
set -eu
cd "$(dirname "$0")"
exec npx --yes --package=typescript@5.9.3 -- tsc --noEmit --project .
