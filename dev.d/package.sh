# ./dev package: the Debian package, from a build of its own that is installed below /usr.

# package_make VERSION (empty: the project's): build-package/…deb; its name goes to PACKAGE.
package_make() {
    local options=(-DCMAKE_C_COMPILER=gcc -DCMAKE_BUILD_TYPE=RelWithDebInfo -DCMAKE_INSTALL_PREFIX=/usr)
    if [[ -f build-package/CMakeCache.txt ]] && ! grep -qxF "CMAKE_HOME_DIRECTORY:INTERNAL=$DEV_ROOT" build-package/CMakeCache.txt; then
        rm -rf build-package
    fi
    [[ -z ${1:-} ]] || options+=("-DPCS_PACKAGE_VERSION=$1")
    quietly build-package/configure.log cmake -S . -B build-package -G Ninja "${options[@]}" || return
    progress "building build-package/"
    quietly build-package/build.log ninja -C build-package product-change-service manual kos-sim auth-sim || return
    quietly build-package/cpack.log env -C build-package cpack || return
    PACKAGE=$(sed -n 's/^CPack: - package: \(.*\) generated\.$/\1/p' build-package/cpack.log)
    [[ -s $PACKAGE ]]
}

package_command() {
    local test='' version=''
    for word in "$@"; do
        case $word in
        --test) test=1 ;;
        [0-9]*) version=$word ;;
        *) die "package knows --test and a version, not \"$word\"" ;;
        esac
    done
    deps_ensure build
    have dpkg-shlibdeps || die "dpkg-dev is not here (build-essential has it)"
    package_make "$version" || die "the package could not be made"
    good "$PACKAGE ($(du -h "$PACKAGE" | cut -f 1))"
    [[ -z $test ]] || tests/package/run.sh
}
