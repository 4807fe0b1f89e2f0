//! Reads the installed slurm.h: types and signatures differ in every major.minor release.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs};

/// Releases from which the code has to tell apart, as `slurm_ge_YYMM`.
const RELEASES: [(u32, u32); 5] = [(23, 2), (23, 11), (25, 5), (25, 11), (26, 5)];
/// The first release that the code is for.
const OLDEST: (u32, u32) = (22, 5);
/// The last release that it was tried with.
const NEWEST: (u32, u32) = (26, 5);

fn main() {
    println!("cargo:rerun-if-changed=slurm-headers/wrapper.h");
    println!("cargo:rerun-if-env-changed=SLURM_INCLUDE_DIR");
    if let Err(message) = build() {
        // One line is all a reader needs; a panic would bury it.
        println!("cargo::error={message}");
    }
}

fn build() -> Result<(), String> {
    let include = include_dir()?;
    let version = version(&include)?;
    let (major, minor) = (version >> 16 & 0xff, version >> 8 & 0xff);
    if (major, minor) < OLDEST {
        return Err(format!(
            "{} is of Slurm {major:02}.{minor:02}; 22.05 or later is needed",
            include.display()
        ));
    }
    if (major, minor) > NEWEST {
        println!(
            "cargo::warning={} is of Slurm {major:02}.{minor:02}, which nobody has tried: \
             the newest known one is {:02}.{:02}",
            include.display(),
            NEWEST.0,
            NEWEST.1
        );
    }
    for release in RELEASES {
        let name = format!("slurm_ge_{:02}{:02}", release.0, release.1);
        println!("cargo:rustc-check-cfg=cfg({name})");
        if (major, minor) >= release {
            println!("cargo:rustc-cfg={name}");
        }
    }
    // slurmctld may dlclose a plugin while one of its threads still runs: its code must stay.
    println!("cargo:rustc-cdylib-link-arg=-Wl,-z,nodelete");
    let out = PathBuf::from(env::var_os("OUT_DIR").ok_or("OUT_DIR is not set")?);
    bindgen::Builder::default()
        .header("slurm-headers/wrapper.h")
        .clang_arg(format!("-I{}", include.display()))
        .allowlist_function("slurm_load_node")
        .allowlist_function("slurm_free_node_info_msg")
        .allowlist_function("slurm_load_jobs")
        .allowlist_function("slurm_free_job_info_msg")
        .allowlist_function("slurm_load_partitions")
        .allowlist_function("slurm_free_partition_info_msg")
        .allowlist_function("slurm_load_reservations")
        .allowlist_function("slurm_free_reservation_info_msg")
        .allowlist_function("slurm_load_licenses")
        .allowlist_function("slurm_free_license_info_msg")
        .allowlist_function("slurm_get_select_nodeinfo")
        .allowlist_function("slurm_init_update_node_msg")
        .allowlist_function("slurm_update_node")
        .allowlist_function("slurm_init_job_desc_msg")
        .allowlist_function("slurm_update_job")
        .allowlist_function("slurm_strerror")
        .allowlist_type("slurm_conf_t")
        .allowlist_var("SLURM_VERSION_NUMBER")
        .default_macro_constant_type(bindgen::MacroTypeVariation::Unsigned)
        .dynamic_library_name("SlurmApi")
        .dynamic_link_require_all(true)
        .wrap_unsafe_ops(true)
        .rust_edition(bindgen::RustEdition::Edition2024)
        .layout_tests(false)
        .generate_comments(false)
        .generate()
        .map_err(|error| format!("slurm.h cannot be read: {error}; install libclang-dev"))?
        .write_to_file(out.join("slurm.rs"))
        .map_err(|error| format!("the bindings cannot be written: {error}"))
}

fn include_dir() -> Result<PathBuf, String> {
    let has_slurm = |dir: &Path| dir.join("slurm/slurm.h").exists();
    if let Some(dir) = env::var_os("SLURM_INCLUDE_DIR") {
        let dir = PathBuf::from(dir);
        return if has_slurm(&dir) {
            Ok(dir)
        } else {
            Err(format!("SLURM_INCLUDE_DIR={} has no slurm/slurm.h in it", dir.display()))
        };
    }
    let from_pkg_config = Command::new("pkg-config")
        .args(["--variable=includedir", "slurm"])
        .output()
        .ok()
        .filter(|output| output.status.success())
        .map(|output| PathBuf::from(String::from_utf8_lossy(&output.stdout).trim()));
    from_pkg_config
        .into_iter()
        .chain(["/usr/include", "/usr/local/include"].map(PathBuf::from))
        .find(|dir| has_slurm(dir))
        .ok_or_else(|| {
            "slurm/slurm.h is not installed; install libslurm-dev (Debian) or slurm-devel (RPM), \
             or set SLURM_INCLUDE_DIR to the directory above slurm/ (slurm-headers/fetch gets \
             those of another release)"
                .to_owned()
        })
}

fn version(include: &Path) -> Result<u32, String> {
    let path = include.join("slurm/slurm_version.h");
    println!("cargo:rerun-if-changed={}", path.display());
    let text = fs::read_to_string(&path).map_err(|error| format!("{}: {error}", path.display()))?;
    text.lines()
        .find_map(|line| line.strip_prefix("#define SLURM_VERSION_NUMBER 0x"))
        .and_then(|hex| u32::from_str_radix(hex.trim(), 16).ok())
        .ok_or_else(|| format!("{} has no SLURM_VERSION_NUMBER", path.display()))
}
