#!/bin/sh
# Brings a machine to the state that a make target needs, and does nothing where it is there already.
#   tools/setup.sh            a C compiler, and the Python packages in .venv
#   tools/setup.sh firmware   the Arm compiler and the emulator as well
#   tools/setup.sh boards     and those for RISC-V
#   tools/setup.sh fuzz       clang with its fuzzer, and llvm-cov
#   tools/setup.sh bigendian  a compiler and an emulator for a big-endian processor
# PYTHON names the interpreter for a new .venv; otherwise it is the newest of 3.13 to 3.10.
set -eu
cd "$(dirname "$0")/.."
level=${1:-host}
venv=$(pwd)/.venv
stamp=$venv/.ebnn-setup
unfinished=$venv/.ebnn-unfinished
log=$(mktemp)
trap 'rm -f "$log"' EXIT

say() { printf 'setup: %s\n' "$*"; }
die() { printf 'error: %s\n' "$*" >&2; exit 1; }
fail() { tail -n 4 "$log" >&2; die "$*"; }
have() { command -v "$1" >/dev/null 2>&1; }

usable() {
    "$1" -c 'import ctypes, ensurepip, lzma, ssl, sys, venv
sys.exit(not (3, 10) <= sys.version_info[:2] <= (3, 13))' >/dev/null 2>&1
}

find_python() {
    for python in ${PYTHON:+"$PYTHON"} python3.13 python3.12 python3.11 python3.10 python3; do
        if usable "$python"; then return; fi
    done
    return 1
}

venv_works() {  # scripts of a venv hold its path, so a copied or moved one does not count
    [ ! -e "$unfinished" ] && "$venv/bin/python" -c '' 2>/dev/null && grep -qF "$venv" "$venv/bin/activate"
}

gcc_works() { echo "#include <stdio.h>" | gcc -E - >/dev/null 2>&1; }

arm_works() {  # without newlib the compiler prints the bare name back
    have arm-none-eabi-gcc && [ "$(arm-none-eabi-gcc -print-file-name=libc.a)" != libc.a ]
}

fuzzer_works() {
    have llvm-cov && echo 'int LLVMFuzzerTestOneInput(void); int LLVMFuzzerTestOneInput(void) { return 0; }' |
        clang -fsanitize=fuzzer,address,undefined -x c - -o /dev/null 2>/dev/null
}

mips_works() {
    have qemu-mips && have mips-linux-gnu-gcc && [ "$(mips-linux-gnu-gcc -print-file-name=libc.a)" != libc.a ]
}

riscv_works() {  # with picolibc or newlib
    have riscv64-unknown-elf-gcc || return 1
    for file in picolibc.specs libc.a; do
        [ "$(riscv64-unknown-elf-gcc -print-file-name=$file)" = $file ] || return 0
    done
    return 1
}

# Prints those of these packages whose work nothing here does.
missing() {  # PYTHON CC ARM QEMU CERTIFICATES CLANG MIPS RISCV QEMU_RISCV
    venv_works || find_python || echo "$1"
    gcc_works || echo "$2"
    [ "$level" != fuzz ] || fuzzer_works || echo "$6"
    [ "$level" != bigendian ] || mips_works || echo "$7"
    [ "$level" = firmware ] || [ "$level" = boards ] || return 0
    arm_works || echo "$3"
    have qemu-system-arm || echo "$4"
    [ -e /etc/ssl/cert.pem ] || [ -e /etc/ssl/certs/ca-certificates.crt ] || echo "$5"
    [ "$level" = boards ] || return 0
    riscv_works || echo "$8"
    have qemu-system-riscv32 || echo "$9"
}

apt_fuzzer() {  # the fuzzer's runtime belongs to one version of clang
    version=$(apt-cache depends clang 2>/dev/null | sed -n 's/.*Depends: clang-\([0-9]*\)$/\1/p')
    echo "clang llvm libclang-rt-${version:-14}-dev"
}

apt_missing() {
    missing 'python3 python3-venv' 'gcc libc6-dev' 'gcc-arm-none-eabi libnewlib-arm-none-eabi' \
        qemu-system-arm ca-certificates "$(apt_fuzzer)" 'qemu-user gcc-mips-linux-gnu libc6-dev-mips-cross' \
        'gcc-riscv64-unknown-elf picolibc-riscv64-unknown-elf' "$(apt_qemu_riscv)" | tr '\n' ' '
}

apt_qemu_riscv() {  # newer releases have it in a package of its own
    if apt-cache show qemu-system-riscv >/dev/null 2>&1; then echo qemu-system-riscv; else echo qemu-system-misc; fi
}

apt_cost() {  # prints "12 MB to download, 34 MB on disk" for packages $@; fails where apt does not know one
    apt_plan=$(LC_ALL=C apt-get install --print-uris -y --no-install-recommends "$@" 2>/dev/null) || return 1
    printf '%s\n' "$apt_plan" | sed -n -e 's/^Need to get \(.*\) of archives\.$/\1 to download/p' \
        -e 's/^After this operation, \(.*\) of additional disk space.*/\1 on disk/p' |
        paste -sd'|' - | sed 's/|/, /'
}

apt() {  # RETRIES ARGUMENTS: quiet, its errors in $log
    retries=$1
    shift
    $root env DEBIAN_FRONTEND=noninteractive apt-get -y -qq --no-install-recommends -o APT::Update::Error-Mode=any \
        -o Acquire::Retries="$retries" -o Acquire::http::Timeout=10 "$@" >/dev/null 2>"$log"
}

apt_update() {
    say "reading the package lists (apt-get update)"
    apt 0 update || fail "apt cannot read its package lists"
}

apt_install() {  # $@ = packages
    if [ "$(id -u)" = 0 ]; then root=; elif sudo -n true 2>/dev/null; then root='sudo -n'; else root=no; fi
    if ! cost=$(apt_cost "$@"); then
        cost='sizes unknown: the package lists are empty'
        if [ "$root" != no ]; then
            apt_update
            cost=$(apt_cost "$@") || die "apt does not know all of: $*"
        fi
    fi
    [ "$root" != no ] ||
        die "missing${cost:+ ($cost)}, install with: sudo apt-get install --no-install-recommends $*"
    say "installing system packages: $* (with all they need $cost)"
    apt 0 install "$@" || { apt_update && apt 2 install "$@"; } || fail "apt cannot install them"
}

system_packages() {
    if have apt-get; then
        for _ in once again; do  # after the lists are read, a package may have another name
            wanted=$(apt_missing)
            # shellcheck disable=SC2086 # one word a package
            [ -z "$wanted" ] || apt_install $wanted
        done
        wanted=$(apt_missing)
        [ -z "$wanted" ] || die "installed, and yet not usable: $wanted(Python 3.10 to 3.13 is needed)"
    elif have brew; then
        wanted=$(missing 'brew install python@3.13' 'xcode-select --install' \
            'brew install --cask gcc-arm-embedded' 'brew install qemu' 'brew install ca-certificates' \
            'brew install llvm' 'there is none for a big-endian processor' \
            'brew tap riscv-software-src/riscv && brew install riscv-gnu-toolchain' 'brew install qemu' |
            awk '!seen[$0]++')
        wanted=$(echo "$wanted" | paste -sd'&' - | sed 's/&/ \&\& /g')
        [ -z "$wanted" ] || die "missing, install with: $wanted"
    else
        wanted=$(missing 'Python 3.10 to 3.13 with venv' 'a C compiler' 'arm-none-eabi-gcc with newlib' \
            qemu-system-arm 'CA certificates' 'clang with libFuzzer, llvm-cov' \
            'mips-linux-gnu-gcc with libc, qemu-mips' \
            'riscv64-unknown-elf-gcc with picolibc or newlib' qemu-system-riscv32 | paste -sd, - | sed 's/,/, /g')
        [ -z "$wanted" ] || die "missing, install with your package manager: $wanted"
    fi
}

pip() {  # its many warnings matter only where it fails
    "$venv/bin/python" -m pip install -q --disable-pip-version-check --retries 2 --no-deps "$@" 2>"$log" ||
        fail "pip failed; where PyPI is out of reach, PIP_INDEX_URL or PIP_FIND_LINKS names a mirror"
}

python_packages() {
    fingerprint=$(cat pyproject.toml requirements/*.txt | cksum)
    if venv_works && [ "$(cat "$stamp" 2>/dev/null)" = "$fingerprint" ]; then return; fi
    if ! venv_works; then
        find_python
        say "making .venv with $("$python" --version)"
        rm -rf "$venv" && mkdir "$venv" && : >"$unfinished" && "$python" -m venv "$venv"
    fi
    : >"$unfinished"
    say "installing the Python packages into .venv (about 450 MB on disk)"
    pip --require-hashes -r requirements/build.txt
    pip --require-hashes --no-build-isolation --use-pep517 -r requirements/dev.txt
    pip --no-build-isolation -e .
    echo "$fingerprint" >"$stamp"
    rm "$unfinished"
}

[ -z "${PYTHON:-}" ] || usable "$PYTHON" || die "PYTHON=$PYTHON: no Python 3.10 to 3.13 with venv, lzma, ssl"
system_packages
python_packages
