#!/usr/bin/env bash
# Makes .venv with everything the project needs, at pinned versions: bash launch/install.sh [cpu|cuda]
#
# Without an argument the device is $CGPO_DEVICE, else cuda where nvidia-smi lists a GPU, else cpu. $PYTHON names the
# interpreter. Run it as often as you like: what is already there is kept, an installation that was broken off is
# mended, and when nothing has changed it answers at once.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

readonly VENV=.venv
readonly STAMP=$VENV/cgpo-stamp
readonly LOG=$VENV/install.log
readonly PROGRESS=$VENV/progress.json
readonly TORCH_CPU_INDEX=https://download.pytorch.org/whl/cpu
# CUDA: torch's libraries alone are some 5 GB, and pip unpacks beside what it loads.
declare -rA MIN_FREE_GIB=([cpu]=6 [cuda]=12)
# Built for CUDA on the package index; beside a CPU torch they break `import transformers`.
readonly BREAKS_CPU_TORCH="torchvision torchaudio torchcodec"
export PYTHONUNBUFFERED=1 PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_INPUT=1
# PYTHONDONTWRITEBYTECODE, common in containers, would have every process compile torch and vLLM anew.
unset PYTHONPATH PYTHONHOME PYTHONDONTWRITEBYTECODE

fail() {
    printf 'install: %s\n' "$1" >&2
    exit 1
}

say() { printf '%s\n' "$1"; }

choose_device() {
    local device=${1:-${CGPO_DEVICE:-}}
    if [ -z "$device" ]; then
        device=cpu
        # Both lines matter: the tool can be there without a driver, and list no GPU without failing.
        if nvidia-smi -L 2>/dev/null | grep -q '^GPU'; then device=cuda; fi
    fi
    case $device in
        cpu | cuda) echo "$device" ;;
        *) fail "unknown device '$device'. Allowed: cpu, cuda" ;;
    esac
}

fits() { "$1" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))' 2>/dev/null; }

# DeepSpeed and torch.compile (in vLLM) build extension modules at first use.
has_headers() {
    "$1" -c 'import os, sys, sysconfig; sys.exit(not os.path.exists(sysconfig.get_paths()["include"] + "/Python.h"))'
}

find_python() {
    local candidate without_headers=
    for candidate in ${PYTHON:-python3.11 python3.12 python3.13 python3}; do
        fits "$candidate" || continue
        if has_headers "$candidate"; then
            echo "$candidate"
            return
        fi
        without_headers=${without_headers:-$candidate}
    done
    [ -z "$without_headers" ] || fail "$without_headers has no header files (Python.h), with which DeepSpeed and vLLM \
build parts of themselves. Debian, Ubuntu: apt-get install $(basename "$without_headers")-dev"
    fail "no Python from 3.11 to 3.13 found (looked for ${PYTHON:-python3.11, python3.12, python3.13, python3}). \
Install one (Debian, Ubuntu: apt-get install python3.11-venv python3.11-dev) or name it: \
PYTHON=/path/to/python make setup"
}

# What the installation depends on, as one hash. The folder is part of it because a virtual environment cannot be moved.
fingerprint() {
    {
        echo "$DEVICE $PWD"
        "$VENV/bin/python" -VV
        cat launch/install.sh launch/progress.py launch/pins-*.txt setup.cfg pyproject.toml cgpo/__init__.py
    } | sha256sum | cut -d' ' -f1
}

python_starts() { "$VENV/bin/python" -c '' 2>/dev/null; }

venv_works() { "$VENV/bin/python" -m pip --version >/dev/null 2>&1; }

# A moved checkout leaves a .venv whose scripts name the old place.
venv_is_here() { grep -qxF "$DEVICE $PWD" "$VENV/cgpo-place" 2>/dev/null; }

check_platform() {
    [ "$DEVICE" = cuda ] || [ "$(uname -sm)" = "Linux x86_64" ] ||
        fail "the pinned CPU installation is for Linux x86-64, this is $(uname -sm). By hand: python3 -m venv .venv && \
.venv/bin/pip install -e '.[train,quickstart,dev]', then train with rollout.engine=hf"
    local compiler
    for compiler in ${CXX:-} g++ c++ clang++; do
        if command -v "$compiler" >/dev/null; then return; fi
    done
    fail "no C++ compiler: DeepSpeed and vLLM build parts of themselves with it. Debian, Ubuntu: apt-get install build-essential"
}

check_space() {
    local free_kib
    free_kib=$(df -Pk . | awk 'NR == 2 {print $4}')
    [ "$free_kib" -ge $((MIN_FREE_GIB[$DEVICE] * 1024 * 1024)) ] ||
        fail "$((free_kib / 1024 / 1024)) GiB free at $PWD, ${MIN_FREE_GIB[$DEVICE]} GiB are needed: free some space"
}

make_venv() {
    local python
    python=$(find_python)
    say "making $VENV with $("$python" -V) for $DEVICE"
    rm -rf "$VENV"
    "$python" -m venv "$VENV" >/dev/null 2>&1 && venv_works || {
        rm -rf "$VENV"
        fail "$python cannot make a virtual environment. Debian, Ubuntu: apt-get install $(basename "$python")-venv"
    }
    echo "$DEVICE $PWD" >"$VENV/cgpo-place"
}

# pip writes RECORD last: a package without it was being unpacked when an earlier run was killed.
drop_half_installed() {
    local info
    for info in "$VENV"/lib/python3*/site-packages/*.dist-info; do
        if [ -d "$info" ] && [ ! -s "$info/RECORD" ]; then rm -rf "$info"; fi
    done
}

# What will have been installed in the end: packages, and megabytes of their files. 0 0 where pip decides.
whole_size() {
    if [ "$DEVICE" = cpu ]; then
        local megabytes
        megabytes=$(sed -n 's/^# Their files: \([0-9]*\) MB.*/\1/p' launch/pins-cpu.txt)
        echo "$(($(cat launch/pins-cpu.txt launch/pins-no-deps.txt | grep -c ==) + 1)) ${megabytes:-0}"
    else
        echo "0 0"
    fi
}

# pip's output goes to the log; what is shown is how far it has come. Should that fail, pip still goes on.
show_progress() { "$VENV/bin/python" launch/progress.py $(whole_size) "$PROGRESS" || cat >/dev/null; }

# Byte code is made at first import, for the files that are imported: to compile all 25,000 would take half the time.
pip_install() {
    "$VENV/bin/python" -m pip install --progress-bar off --no-compile "$@" 2>&1 | tee -a "$LOG" | show_progress
}

# What went wrong, from pip's log, in one line.
explain() {
    local what=$1 cause advice
    if grep -qiE 'no space left' "$LOG"; then
        cause="the disk is full" advice="free about ${MIN_FREE_GIB[$DEVICE]} GiB"
    elif grep -qiE 'name or service not known|temporary failure in name|network is unreachable|connection (refused|broken|timed out)|ProxyError' "$LOG"; then
        cause="the package index cannot be reached" advice="check the network, the proxy and: $VENV/bin/pip config list"
    else
        cause=$(grep -E '^ *(ERROR|error):' "$LOG" | tail -1 | sed 's/^ *ERROR: *//' || true)
        cause=${cause:-pip failed} advice="see $LOG"
    fi
    fail "could not install $what: $cause. To mend: $advice, then run this again (it goes on where it stopped)"
}

install_step() {
    local what=$1
    shift
    say "installing $what"
    : >"$LOG"
    pip_install "$@" || explain "$what"
}

install_torch_cpu() {
    local torch
    torch=$(grep '^torch==' launch/pins-cpu.txt)
    say "installing $torch"
    : >"$LOG"
    # A mirror may offer the CPU build; elsewhere it is on PyTorch's own index.
    pip_install --no-deps "$torch" && return
    pip_install --no-deps --index-url "$TORCH_CPU_INDEX" "$torch" || explain "$torch"
}

install_cpu() {
    install_torch_cpu
    grep -vE '^(torch|deepspeed)==' launch/pins-cpu.txt >"$VENV/pins.txt"
    install_step "$(grep -c == "$VENV/pins.txt") packages, vLLM among them" --no-deps --no-build-isolation -r "$VENV/pins.txt"
    # Last, because its build looks at the torch that is installed.
    install_step deepspeed --no-deps --no-build-isolation "$(grep '^deepspeed==' launch/pins-cpu.txt)"
    local name
    for name in $BREAKS_CPU_TORCH; do
        if compgen -G "$VENV/lib/python3*/site-packages/$name-*.dist-info" >/dev/null; then
            "$VENV/bin/python" -m pip uninstall -y -q "$name"
        fi
    done
}

install_cuda() {
    # DeepSpeed's build looks at the torch that is installed, so torch comes first.
    install_step torch "$(grep '^torch==' launch/pins-cuda.txt)"
    check_cuda_builds torch
    # Where it sees a GPU, its set-up asks a CUDA toolkit (nvcc) for its version, and ends without one. It builds
    # nothing here: operators are built when they are first used, and those used here need no toolkit.
    export DS_IGNORE_CUDA_DETECTION=1
    install_step "vLLM, DeepSpeed and what they need" --no-build-isolation -r launch/pins-cuda.txt
    check_cuda_builds torch vllm
}

# torch==2.13.0 is also satisfied by 2.13.0+cpu, which some package indexes offer; the same goes for vLLM.
check_cuda_builds() {
    local package build
    for package in "$@"; do
        build=$(cuda_build "$package") || fail "cannot read the build of $package. See $LOG"
        [ "$build" = cuda ] || fail "the package index gave $build, which is built without CUDA. Name one with the CUDA \
builds, e.g. PIP_INDEX_URL=https://pypi.org/simple, or choose CGPO_DEVICE=cpu; then run this again"
    done
}

# "cuda", or the name and version of a build that is for something else. vLLM is not imported: that needs a driver.
cuda_build() {
    "$VENV/bin/python" - "$1" 2>>"$LOG" <<'END'
import sys
from importlib.metadata import version

name = sys.argv[1]
installed = version(name)
if name == "torch":
    import torch

    is_cuda = torch.version.cuda is not None
else:
    is_cuda = not any(word in installed for word in ("cpu", "rocm", "xpu", "tpu"))
print("cuda" if is_cuda else f"{name} {installed}")
END
}

# Also compiles what commands import, on two cores, so that the first one answers as quickly as the later ones.
check_imports() {
    say "checking that everything can be imported"
    local engine
    can_import vllm vllm.v1.engine.llm_engine vllm.v1.engine.core cgpo.rollout.vllm_engine &
    engine=$!
    can_import torch transformers deepspeed cgpo.training.trainer judges &&
        "$VENV/bin/cgpo" --help >/dev/null 2>>"$LOG" &&
        wait "$engine" ||
        fail "installed, but importing fails: $(grep -E '^[A-Za-z.]*(Error|Exception)' "$LOG" | tail -1). See $LOG"
}

can_import() { "$VENV/bin/python" -c "import $(IFS=,; echo "$*")" >>"$LOG" 2>&1; }

main() {
    # One installation at a time in this checkout; the lock is this file itself and ends with the process.
    if command -v flock >/dev/null; then
        exec 9<launch/install.sh
        flock -n 9 || { say "waiting for another installation in this folder" && flock 9; }
    fi
    DEVICE=$(choose_device "$@")
    if venv_is_here && python_starts && [ "$(cat "$STAMP" 2>/dev/null)" = "$(fingerprint)" ]; then
        say "$VENV is up to date ($DEVICE)"
        return
    fi
    check_platform
    check_space
    if ! venv_is_here || ! venv_works; then make_venv; fi
    rm -f "$STAMP" "$PROGRESS"
    drop_half_installed
    local started=$SECONDS
    install_step "pip and setuptools" --no-deps $(grep -E '^(pip|setuptools)==' launch/pins-cpu.txt)
    "install_$DEVICE"
    install_step "the small models" --no-deps -r launch/pins-no-deps.txt
    install_step "this project" --no-deps --no-build-isolation -e .
    check_imports
    rm -f "$PROGRESS"
    fingerprint >"$STAMP.new"
    mv "$STAMP.new" "$STAMP"
    say "installed in $((SECONDS - started)) s. What this machine can run: $VENV/bin/cgpo doctor"
}

# Sourced, the file only defines its functions; the tests use them.
if [ "${BASH_SOURCE[0]}" = "$0" ]; then main "$@"; fi
