# shellcheck shell=sh disable=SC2154 # part of packaging/build, which sets the variables
# Lays a package's files out as they are installed.

# generate BIN: what is made by the programs themselves or from templates.
generate() {
    mkdir "$work/gen"
    "$1/slurm-asg" completions bash > "$work/gen/slurm-asg.bash"
    "$1/slurm-asg" completions zsh > "$work/gen/_slurm-asg"
    "$1/slurm-asg" completions fish > "$work/gen/slurm-asg.fish"
    "$1/slurm-asg" man > "$work/gen/slurm-asg.8"
    "$1/slurm-asg" man asg.toml > "$work/gen/asg.toml.5"
}

# both NAME KIND RELEASE: the package in both formats.
both() {
    stage "$2" "$work/deb/$1" "/usr/lib/$(cc -dumpmachine)/slurm-wlm" /usr/share/zsh/vendor-completions
    make_deb "$1" "$2" "$3"
    stage "$2" "$work/rpm/$1" /usr/lib64/slurm /usr/share/zsh/site-functions
    make_rpm "$1" "$2" "$3"
}

# stage KIND ROOT PLUGINS ZSH: what packaging/files lists for KIND, below ROOT. The configuration
# files are listed in ROOT.conf.
stage() {
    mkdir -p "$2"
    : > "$2.conf"
    grep "^$1 " packaging/files | while read -r _ file place mode; do
        place=$(echo "$place" | sed "s|@plugins@|$3|; s|@zsh@|$4|")
        case $file in
            bin:*) file=$bin/${file#bin:} ;;
            gen:*) file=$work/gen/${file#gen:} ;;
        esac
        for one in $file; do
            # A pattern without a file.
            [ -e "$one" ] || case $file in *\**) continue ;; esac
            case $place in */) to=$2$place${one##*/} ;; *) to=$2$place ;; esac
            [ "$mode" != conf ] || echo "$place" >> "$2.conf"
            put "$one" "$to" "$(echo "$mode" | sed 's/conf/644/')"
        done
    done
    find "$2" -depth -exec touch -h -d "@$SOURCE_DATE_EPOCH" {} +
}

# put FILE TO MODE: programs without symbols, manual pages compressed.
put() {
    mkdir -p "$(dirname "$2")"
    case $2 in
        *.gz) gzip -9n < "$1" > "$2" ;;
        *) cp "$1" "$2" ;;
    esac
    case $1 in
        "$bin"/*) strip --strip-unneeded --remove-section=.comment --remove-section=.note "$2" ;;
    esac
    chmod "$3" "$2"
}

# summary KIND RELEASE and description KIND: what both formats say of a package.
summary() {
    case $1 in
        slurm-asg) echo "elastic Slurm clusters on EC2 Auto Scaling groups: command and programs" ;;
        slurm-asg-plugin) echo "plugin of slurm-asg for slurmctld of Slurm $2" ;;
        slurm-asg-node) echo "start of compute instances of slurm-asg, for their images" ;;
    esac
}

description() {
    case $1 in
        slurm-asg)
            echo "slurm-asg raises and lowers EC2 Auto Scaling groups as Slurm's power saving wants"
            echo "nodes. This package has the command slurm-asg, the programs that slurm.conf names as"
            echo "ResumeProgram and SuspendProgram, asg.toml, manual pages and templates for AWS."
            ;;
        slurm-asg-plugin)
            echo "job_submit_asg.so, which runs inside slurmctld. It is built for one release of Slurm"
            echo "and takes any of its micro versions."
            ;;
        slurm-asg-node)
            echo "slurm-asg-node finds the name of the node that an instance serves, and starts slurmd"
            echo "with it. Its systemd unit is enabled in the place of slurmd's."
            ;;
    esac
}

# next_release RELEASE: the first version that is not of it: 22.05 -> 22.06.
next_release() {
    echo "$1" | awk -F. '{ printf "%s.%02d\n", $1, $2 + 1 }'
}
