# shellcheck shell=sh disable=SC2154 # part of packaging/build, which sets the variables
# DEB packages.

# make_deb NAME KIND RELEASE
make_deb() {
    root=$work/deb/$1
    doc=$root/usr/share/doc/$1
    mkdir -p "$doc" "$root/DEBIAN"
    cp packaging/deb/copyright "$doc/copyright"
    gzip -9n < CHANGELOG.md > "$doc/changelog.gz"
    chmod 644 "$doc"/copyright "$doc"/changelog.gz
    arch=$(dpkg --print-architecture)
    [ "$2" != slurm-asg-node ] || arch=all
    size=$(du -sk --apparent-size --exclude=DEBIAN "$root" | cut -f1)
    {
        echo "Package: $1"
        echo "Source: slurm-asg"
        echo "Version: $VERSION"
        echo "Architecture: $arch"
        echo "Maintainer: $MAINTAINER"
        echo "Installed-Size: $size"
        deb_relations "$2" "$3"
        echo "Section: admin"
        echo "Priority: optional"
        echo "Description: $(summary "$2" "$3")"
        description "$2" | sed 's/^/ /'
    } > "$root/DEBIAN/control"
    [ ! -s "$root.conf" ] || cp "$root.conf" "$root/DEBIAN/conffiles"
    (cd "$root" && find . -type f ! -path './DEBIAN/*' -printf '%P\0' | sort -z | xargs -0 md5sum > DEBIAN/md5sums)
    for script in postinst prerm postrm; do
        [ ! -e "packaging/deb/$2.$script" ] || install -m 755 "packaging/deb/$2.$script" "$root/DEBIAN/$script"
    done
    chmod 644 "$root/DEBIAN/control" "$root/DEBIAN/md5sums"
    [ ! -e "$root/DEBIAN/conffiles" ] || chmod 644 "$root/DEBIAN/conffiles"
    find "$root" -depth -exec touch -h -d "@$SOURCE_DATE_EPOCH" {} +
    dpkg-deb --root-owner-group -Zxz "-z$level" --build "$root" "$out/${1}_${VERSION}_$arch.deb" > /dev/null
}

# deb_relations KIND RELEASE
deb_relations() {
    case $1 in
        slurm-asg)
            echo "Depends: $(libraries "$root"/usr/bin/slurm-asg "$root"/usr/sbin/*)"
            echo "Recommends: slurm-asg-plugin"
            ;;
        slurm-asg-plugin)
            so=$(find "$root" -name job_submit_asg.so)
            echo "Depends: $(libraries "$so"), slurmctld (>= $2), slurmctld (<< $(next_release "$2")~), slurm-asg (= $VERSION), ca-certificates"
            # One slurmctld, one plugin.
            echo "Provides: slurm-asg-plugin"
            echo "Conflicts: slurm-asg-plugin"
            echo "Replaces: slurm-asg-plugin"
            ;;
        slurm-asg-node)
            echo "Depends: slurmd, slurm-client, curl"
            ;;
    esac
}

# libraries FILE...: the packages that these need, with their versions.
libraries() {
    mkdir -p "$work/shlibdeps/debian"
    : > "$work/shlibdeps/debian/control"
    (cd "$work/shlibdeps" && dpkg-shlibdeps -O --ignore-missing-info "$@" 2> shlibdeps.log) | sed -n 's/^shlibs:Depends=//p'
}
