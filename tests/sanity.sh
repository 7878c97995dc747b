#!/usr/bin/env bash
# ansible-test sanity on a copy of the checkout. Arguments go to ansible-test: tests/sanity.sh --test pep8
#
# The tests that depend on the version of Python run on each version that this machine has.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
readonly checkout=$PWD

command -v shellcheck >/dev/null || scripts/packages.sh shellcheck

# ansible-test keeps its environments in the home directory. A separate home keeps them out of the user's.
readonly home=$checkout/.cache/sanity
mkdir -p "$home/.ansible/test/cache"
# One run at a time in a checkout: the next one waits, rather than taking this one's files away.
exec 9>"$home/lock"
flock 9
# pip's settings and its cache stay the user's.
export XDG_CONFIG_HOME=${XDG_CONFIG_HOME:-$HOME/.config} XDG_CACHE_HOME=${XDG_CACHE_HOME:-$HOME/.cache}

# It wants to download a script that brings pip into them. Python carries a pip itself, in ensurepip: this is that script.
pip_version=$(python - <<'EOF'
from types import SimpleNamespace
from ansible_test._internal.python_requirements import get_venv_packages
print(get_venv_packages(SimpleNamespace(version="3"))["pip"].replace(".", "_"))
EOF
)
cat > "$home/.ansible/test/cache/get_pip_$pip_version.py" <<'EOF'
import ensurepip
ensurepip.bootstrap(default_pip=True)
EOF

# ansible-test takes what PATH calls python3.N for a Python, so it gets a PATH with those that run.
pythons=$home/pythons
tests/pythons.sh "$pythons"
tools=$(dirname "$(command -v ansible-test)")
export PATH=$tools:$pythons:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin

tree=$(scripts/collection.sh copy .build/sanity)
[ ! -e "$tree/tests/sanity" ] || ! ls "$tree"/tests/sanity/ignore*.txt >/dev/null 2>&1 ||
    { echo "error: tests/sanity has ignore entries, the collection has none." >&2; exit 1; }
cd "$tree"
# ansible-test lists what git knows. Without a repository here it would query the checkout's, which ignores this copy.
git init -q
unset ANSIBLE_CONFIG ANSIBLE_COLLECTIONS_PATH
HOME=$home exec ansible-test sanity --requirements --color no "$@"
