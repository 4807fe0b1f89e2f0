//! slurmctld's own log.

use std::ffi::{CStr, CString, c_char, c_int};
use std::io::Write;
use std::sync::OnceLock;

use libloading::os::unix::Library;

/// Slurm's log levels (log.h: `LOG_LEVEL_ERROR` is 2), as far as they are used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// `slurm_error`.
    Error = 2,
    /// `slurm_info`.
    Info = 3,
    /// `slurm_verbose`.
    Verbose = 4,
    /// `slurm_debug`.
    Debug = 5,
}

type LogFn = unsafe extern "C" fn(format: *const c_char, ...);
type LogErrorFn = unsafe extern "C" fn(format: *const c_char, ...) -> c_int;
type LevelFn = unsafe extern "C" fn() -> c_int;

struct LogFunctions {
    error: Option<LogErrorFn>,
    info: Option<LogFn>,
    verbose: Option<LogFn>,
    debug: Option<LogFn>,
    level: Option<LevelFn>,
}

fn functions() -> &'static LogFunctions {
    static FUNCTIONS: OnceLock<LogFunctions> = OnceLock::new();
    FUNCTIONS.get_or_init(|| {
        let host = Library::this();
        LogFunctions {
            error: find(&host, c"slurm_error"),
            info: find(&host, c"slurm_info"),
            verbose: find(&host, c"slurm_verbose"),
            debug: find(&host, c"slurm_debug"),
            level: find(&host, c"slurm_get_log_level"),
        }
    })
}

fn find<T: Copy>(host: &Library, name: &CStr) -> Option<T> {
    // SAFETY: the types above are those of src/common/log.h, 22.05 to 26.05.
    unsafe { host.get::<T>(name.to_bytes_with_nul()) }.ok().map(|symbol| *symbol)
}

/// Whether slurmctld logs this level (SlurmctldDebug).
pub fn wants(level: Level) -> bool {
    match functions().level {
        // SAFETY: takes nothing, reads a number under the log's own lock.
        Some(current) => (unsafe { current() }) >= level as c_int,
        None => level <= Level::Info,
    }
}

/// Writes one line to slurmctld's log; outside slurmctld to standard error.
pub fn log(level: Level, line: &str) {
    let functions = functions();
    let plain = line.replace(['\0', '\n', '\r'], " ");
    let Ok(text) = CString::new(plain) else { return };
    let format = c"%s".as_ptr();
    let function = match level {
        Level::Error => {
            if let Some(error) = functions.error {
                // SAFETY: the format takes exactly one string, which lives until the call ends.
                unsafe { error(format, text.as_ptr()) };
                return;
            }
            None
        }
        Level::Info => functions.info,
        Level::Verbose => functions.verbose,
        Level::Debug => functions.debug,
    };
    match function {
        // SAFETY: as above.
        Some(function) => unsafe { function(format, text.as_ptr()) },
        // Standard error may be closed; there is no other place for it.
        None => drop(writeln!(std::io::stderr(), "{}", text.to_string_lossy())),
    }
}
