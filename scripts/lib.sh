# Shell functions shared by the scripts here; to be sourced, from the root of the project.

# Installs the Debian packages that are missing, and says which. Uses sudo when not root.
#   install_packages PACKAGE...
install_packages() {
    local missing=() package
    for package in "$@"; do
        dpkg-query --show --showformat='${db:Status-Status}' "$package" 2>/dev/null | grep -qx installed ||
            missing+=("$package")
    done
    if [ ${#missing[@]} -eq 0 ]; then
        return 0
    fi
    if ! command -v apt-get >/dev/null; then
        echo "These packages are needed, and there is no apt-get to install them with: ${missing[*]}" >&2
        return 1
    fi
    echo "Installing with apt-get: ${missing[*]}" >&2
    local root=()
    if [ "$(id -u)" -ne 0 ]; then
        root=(sudo)
    fi
    # Debian's postgresql packages would create and start a server of their own.
    if [ ! -e /etc/postgresql-common/createcluster.conf ]; then
        "${root[@]}" mkdir -p /etc/postgresql-common
        echo 'create_main_cluster = false' | "${root[@]}" tee /etc/postgresql-common/createcluster.conf >/dev/null
    fi
    # Nor is PgBouncer wanted as a service: what starts services while packages are set up asks this file.
    local policy=/usr/sbin/policy-rc.d is_ours=no
    if [ ! -e "$policy" ]; then
        is_ours=yes
        printf '#!/bin/sh\nexit 101\n' | "${root[@]}" tee "$policy" >/dev/null
        "${root[@]}" chmod 755 "$policy"
    fi
    local result=0
    "${root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get update -qq &&
    "${root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends \
        -o Dpkg::Options::=--force-confold "${missing[@]}" >/dev/null || result=$?
    if [ "$is_ours" = yes ]; then
        "${root[@]}" rm -f "$policy"
    fi
    return "$result"
}

# What building and running Drover takes, beside Swift.
install_dependencies() {
    if ! command -v swift >/dev/null; then
        echo "Swift 6.2 or newer is needed: https://www.swift.org/install/linux/" >&2
        return 1
    fi
    install_packages libcurl4-openssl-dev libpq-dev libssl-dev pkg-config postgresql-15 pgbouncer bubblewrap iproute2 openssl
}
