# shellcheck shell=sh disable=SC2154 # part of packaging/build, which sets the variables
# RPM packages.

# make_rpm NAME KIND RELEASE
make_rpm() {
    root=$work/rpm/$1
    arch=$(uname -m)
    [ "$2" != slurm-asg-node ] || arch=noarch
    mkdir -p "$work/rpmbuild" "$root/usr/share/licenses/$1"
    cp LICENSE "$root/usr/share/licenses/$1/LICENSE"
    chmod 644 "$root/usr/share/licenses/$1/LICENSE"
    find "$root" -depth -exec touch -h -d "@$SOURCE_DATE_EPOCH" {} +
    spec=$work/rpmbuild/$1.spec
    {
        echo "Name: $1"
        echo "Version: $VERSION"
        echo "Release: 1"
        echo "Summary: $(summary "$2" "$3")"
        echo "License: GPL-3.0-or-later"
        rpm_relations "$2" "$3"
        echo "%description"
        description "$2"
        echo "%install"
        # rpmbuild empties its build root first, so the files come from beside it.
        echo "cp -a $root/. %{buildroot}"
        for script in post preun postun; do
            [ ! -e "packaging/rpm/$2.$script" ] || { echo "%$script"; cat "packaging/rpm/$2.$script"; }
        done
        echo "%files"
        echo "%defattr(-,root,root,-)"
        (cd "$root" && find . -type f -printf '/%P\n' | sort) | while read -r file; do
            if grep -qx "$file" "$root.conf"; then
                echo "%config(noreplace) $file"
            else
                case $file in
                    /usr/share/licenses/*) echo "%license $file" ;;
                    /usr/share/doc/* | /usr/share/man/*) echo "%doc $file" ;;
                    *) echo "$file" ;;
                esac
            fi
        done
    } > "$spec"
    if ! rpmbuild -bb --quiet --target "$arch" \
        --define "_topdir $work/rpmbuild" --define "_rpmdir $out" --define "_rpmfilename %{name}-%{version}-%{release}.%{arch}.rpm" \
        --define "_buildhost reproducible" --define "use_source_date_epoch_as_buildtime 1" \
        --define "clamp_mtime_to_source_date_epoch 1" --define "debug_package %{nil}" \
        --define "__os_install_post %{nil}" --define "_build_id_links none" \
        --define "_binary_payload w$level.xzdio" "$spec" > "$work/rpmbuild/log" 2>&1; then
        cat "$work/rpmbuild/log" >&2
        echo "packaging/build: rpmbuild fails for $1" >&2
        exit 1
    fi
}

# rpm_relations KIND RELEASE
rpm_relations() {
    case $1 in
        slurm-asg)
            echo "Recommends: slurm-asg-plugin"
            ;;
        slurm-asg-plugin)
            echo "Requires: slurm-slurmctld >= $2, slurm-slurmctld < $(next_release "$2")"
            echo "Requires: slurm-asg = $VERSION, ca-certificates"
            echo "Provides: slurm-asg-plugin = $VERSION"
            echo "Conflicts: slurm-asg-plugin"
            ;;
        slurm-asg-node)
            echo "BuildArch: noarch"
            echo "Requires: slurm-slurmd, slurm, curl"
            ;;
    esac
}
