//! The version that the host has, to the micro.
//!
//! slurmctld refuses a plugin whose `plugin_version` is not exactly its own, micro version
//! included (src/common/plugin.c, 22.05 to 26.05), although the public structs of slurm.h stay as
//! they are within a release. So the micro version is taken from the host when the plugin is
//! loaded: from any of Slurm's own plugins that slurmctld has accepted already, because
//! `slurm_conf.version` is not set yet at that time. Another release stays refused.

use std::ffi::{CStr, OsStr, c_char, c_int, c_void};
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};

use libloading::os::unix::{Library, RTLD_LAZY};
use slurm_asg_core::snapshot::Release;

use super::log::{Level, log};

/// Slurm's versions are year, month and micro in three bytes.
pub const VERSION_MAX: u32 = 0x0100_0000;

/// A version as Slurm writes it: `22.05.8`.
pub fn text(version: u32) -> String {
    format!("{}.{}", Release::of_number(version), version & 0xff)
}

/// Sets `ours` to the host's version, if that is of the same release. If it is of another one,
/// `ours` stays, slurmctld refuses the plugin, and the log says which package is the right one.
/// Outside slurmctld nothing happens.
pub fn take_from_host(ours: &AtomicU32) {
    let built = ours.load(Ordering::Relaxed);
    let Some(host) = of_host(ours) else { return };
    let (built_release, release) = (Release::of_number(built), Release::of_number(host));
    if release == built_release {
        ours.store(host, Ordering::Relaxed);
    } else {
        log(
            Level::Error,
            &format!(
                "job_submit/asg: this plugin is for Slurm {built_release}, and this is Slurm {}; \
                 install the package slurm-asg-plugin-{release} in the place of \
                 slurm-asg-plugin-{built_release}",
                text(host)
            ),
        );
    }
}

/// The version of the plugins that the host has loaded; `None` if there are none, or if they
/// are of several versions.
fn of_host(ours: &AtomicU32) -> Option<u32> {
    let mut versions = loaded_objects().into_iter().filter_map(|path| of_plugin(&path, ours));
    let first = versions.next()?;
    versions.all(|version| version == first).then_some(first)
}

/// The paths of the shared objects in this process.
fn loaded_objects() -> Vec<PathBuf> {
    unsafe extern "C" fn note(
        info: *mut libc::dl_phdr_info,
        _size: libc::size_t,
        paths: *mut c_void,
    ) -> c_int {
        // SAFETY: dl_iterate_phdr passes a valid record.
        let name = unsafe { (*info).dlpi_name };
        if name.is_null() {
            return 0;
        }
        // SAFETY: not NULL, and NUL-terminated for as long as the object is loaded.
        let name = unsafe { CStr::from_ptr(name) }.to_bytes();
        if name.starts_with(b"/") {
            // SAFETY: it is the vector that is passed below.
            let paths = unsafe { &mut *paths.cast::<Vec<PathBuf>>() };
            paths.push(PathBuf::from(OsStr::from_bytes(name)));
        }
        0
    }
    let mut paths: Vec<PathBuf> = Vec::new();
    // SAFETY: `note` takes what dl_iterate_phdr gives, and `paths` outlives the call.
    unsafe { libc::dl_iterate_phdr(Some(note), (&raw mut paths).cast()) };
    paths
}

/// The `plugin_version` of a loaded object, if it is a plugin of slurmctld's.
fn of_plugin(path: &PathBuf, ours: &AtomicU32) -> Option<u32> {
    // SAFETY: RTLD_NOLOAD gives what is loaded already: nothing of it runs.
    let object = unsafe { Library::open(Some(path), RTLD_LAZY | libc::RTLD_NOLOAD) }.ok()?;
    // SAFETY: every plugin of Slurm has this symbol as a `const char[]` (plugin.h).
    let kind = unsafe { object.get::<*const c_char>(b"plugin_type\0") }.ok()?;
    // SAFETY: a data symbol is its own address, and its text ends with a NUL.
    let kind = unsafe { CStr::from_ptr(kind.as_raw_ptr().cast()) }.to_bytes();
    // SPANK plugins are checked by other rules (src/common/plugstack.c), and have no slash.
    if !kind.contains(&b'/') {
        return None;
    }
    // SAFETY: every plugin of Slurm has this symbol as a `const uint32_t` (plugin.h).
    let version = unsafe { object.get::<*const u32>(b"plugin_version\0") }.ok()?.as_raw_ptr();
    if version.cast_const().cast() == ours.as_ptr().cast_const() {
        return None;
    }
    // SAFETY: a data symbol is its own address, and an uint32_t is aligned.
    let version = unsafe { version.cast::<u32>().read() };
    (version != 0 && version < VERSION_MAX).then_some(version)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_is_written_as_slurm_writes_it() {
        assert_eq!((text(0x16_05_08), text(0x18_0b_05)), ("22.05.8".into(), "24.11.5".into()));
    }

    #[test]
    fn without_plugins_in_the_process_the_version_stays() {
        let ours = AtomicU32::new(0x16_05_00);
        take_from_host(&ours);
        assert_eq!(ours.load(Ordering::Relaxed), 0x16_05_00);
    }
}
