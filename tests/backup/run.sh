#!/bin/sh
# Backup and restore, tried (docs/operations.md): run.sh [pytest arguments]. PCS_BUILD_DIR: the build (default build).
exec "$(dirname "$0")/../integration/run.sh" test_backup.py "$@"
