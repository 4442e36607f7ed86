#!/usr/bin/env bash
# Installs what building and running dsf needs and this Debian machine lacks: a C tool chain,
# OpenSSL's headers, PostgreSQL's programs, Rust. Does nothing where all is there. Works as root
# or with sudo. Meant to be sourced, so that a Rust installed here is on the PATH afterwards:
#
#   source scripts/install-prerequisites.sh

project=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)

as_root() {
    if [ "$(id -u)" -eq 0 ]; then
        "$@"
    elif command -v sudo > /dev/null; then
        sudo "$@"
    else
        echo "This needs root and there is no sudo: $*" >&2
        return 1
    fi
}

apt_install() {
    if ! command -v apt-get > /dev/null; then
        echo "Not a Debian machine. Please install by other means: $*" >&2
        return 1
    fi
    echo "Installing $*"
    if [ -z "${apt_updated:-}" ]; then
        as_root apt-get update -qq
        apt_updated=yes
    fi
    as_root env DEBIAN_FRONTEND=noninteractive \
        apt-get install -y -qq --no-install-recommends "$@" > /dev/null
}

install_tools() {
    local missing=()
    command -v cc > /dev/null || missing+=(build-essential)
    command -v pkg-config > /dev/null || missing+=(pkg-config)
    command -v curl > /dev/null || missing+=(curl)
    command -v python3 > /dev/null || missing+=(python3)
    command -v openssl > /dev/null || missing+=(openssl)
    [ -e /etc/ssl/certs/ca-certificates.crt ] || missing+=(ca-certificates)
    if ! pkg-config --exists openssl 2> /dev/null; then
        missing+=(libssl-dev)
    fi
    [ ${#missing[@]} -eq 0 ] || apt_install "${missing[@]}"
}

has_postgresql() {
    command -v initdb > /dev/null || compgen -G '/usr/lib/postgresql/*/bin/initdb' > /dev/null
}

# dsf needs PostgreSQL's programs only. Debian's package would also create and start a cluster
# of its own, so its switch for that is off during the installation and put back afterwards.
install_postgresql() {
    has_postgresql && return
    local switch=/etc/postgresql-common/createcluster.conf
    apt_install postgresql-common
    as_root cp "$switch" "$switch.dsf"
    echo 'create_main_cluster = false' | as_root tee -a "$switch" > /dev/null
    apt_install postgresql
    as_root mv "$switch.dsf" "$switch"
}

# The oldest Rust that compiles the project, from Cargo.toml.
wanted_rust() {
    sed -n 's/^rust-version = "\(.*\)"/\1/p' "$project/Cargo.toml"
}

has_rust() {
    command -v cargo > /dev/null || return 1
    local found
    found=$(cargo --version 2> /dev/null | cut -d' ' -f2)
    [ -n "$found" ] && [ "$(printf '%s\n' "$1" "$found" | sort -V | head -n1)" = "$1" ]
}

install_rust() {
    local wanted
    wanted=$(wanted_rust)
    [ -d "$HOME/.cargo/bin" ] && PATH="$HOME/.cargo/bin:$PATH" && export PATH
    has_rust "$wanted" && return
    echo "Installing Rust $wanted"
    if command -v rustup > /dev/null; then
        rustup toolchain install "$wanted" --profile minimal -c clippy -c rustfmt || true
        export RUSTUP_TOOLCHAIN=$wanted
    else
        curl --proto '=https' --tlsv1.2 -sSf https://sh.rustup.rs |
            sh -s -- -y -q --no-modify-path --profile minimal -c clippy -c rustfmt \
                --default-toolchain "$wanted" || true
        export PATH="$HOME/.cargo/bin:$PATH"
    fi
    has_rust "$wanted" && return
    echo "Rust $wanted is not there and could not be installed; install it from" \
        "https://rustup.rs or your distribution, and start again." >&2
    return 1
}

install_tools && install_postgresql && install_rust
