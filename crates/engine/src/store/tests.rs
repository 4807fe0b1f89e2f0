use std::os::unix::fs::{PermissionsExt, symlink};

use slurm_asg_core::memory::Binding;
use slurm_asg_core::time::Timestamp;

use super::*;

/// What is no memory, in place of the file.
const BROKEN: &[u8] = b"{\"format\":1,\"memory\":{\"bindings\":{\"n1\":{\"inst";

fn memory() -> Memory {
    let binding = Binding::new(&"i-1".into(), &"a".into(), Timestamp::from_secs(1));
    Memory { bindings: [("n1".into(), binding)].into(), ..Memory::default() }
}

/// A store in an empty directory, and the place of its file.
fn store() -> (tempfile::TempDir, FileStore, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let store = FileStore::new(dir.path());
    let path = store.path();
    (dir, store, path)
}

/// What there is beside the file, by the end of its name.
fn beside(path: &Path) -> Vec<String> {
    let names = fs::read_dir(path.parent().unwrap()).unwrap();
    let names = names.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut names: Vec<_> =
        names.filter_map(|name| name.strip_prefix("memory.json.").map(str::to_owned)).collect();
    names.sort();
    names
}

#[test]
fn what_was_saved_is_loaded() {
    let dir = tempfile::tempdir().unwrap();
    let mut store = FileStore::new(&dir.path().join("below"));
    assert_eq!(store.load().unwrap(), Memory::default());
    store.save(&memory()).unwrap();
    assert_eq!(store.load().unwrap(), memory());
}

#[test]
fn a_torn_file_or_one_of_another_version_is_kept_aside_and_the_next_save_goes_on() {
    let whole = write_memory(&memory()).unwrap();
    let of_text = |text: &str| text.replace("\"format\":1", "\"format\":2").into_bytes();
    let table = [
        (whole[..whole.len() / 2].to_vec(), "EOF while parsing"),
        (Vec::new(), "EOF while parsing"),
        (vec![0; 4096], "expected value at line 1 column 1"),
        (of_text(str::from_utf8(&whole).unwrap()), "its format is 2, this version has 1"),
        (b"{\"format\":2,\"state\":{}}".to_vec(), "its format is 2, this version has 1"),
        (b"{\"format\":1,\"memory\":{\"a\\nb\":1}}".to_vec(), r"unknown field `a\nb`"),
        ([&whole, &b"}"[..]].concat(), "trailing characters"),
        (b"[1, {}]".to_vec(), "trailing characters"),
    ];
    for (bad, why) in table {
        let (dir, mut store, path) = store();
        fs::write(&path, &bad).unwrap();
        let error = store.load().unwrap_err().to_string();
        let aside = dir.path().join("memory.json.bad-1");
        let begin = format!("{} cannot be read ({why}", path.display());
        let end = format!("; it is kept as {}", aside.display());
        assert!(error.starts_with(&begin) && error.ends_with(&end), "{error}");
        assert!(!error.contains('\n'), "{error}");
        assert!(!path.exists());
        assert_eq!(fs::read(&aside).unwrap(), bad);
        store.save(&memory()).unwrap();
        assert_eq!(FileStore::new(dir.path()).load().unwrap(), memory());
        assert_eq!(fs::read(&aside).unwrap(), bad, "and stays");
    }
}

#[test]
fn no_prefix_of_a_file_is_taken_for_a_whole_one() {
    let whole = write_memory(&memory()).unwrap();
    for end in 0..whole.len() {
        read_memory(&whole[..end]).unwrap_err();
    }
    assert_eq!(read_memory(&whole), Ok(memory()));
}

#[test]
fn whatever_is_in_the_files_place_is_kept_aside_unread() {
    type Put = fn(&Path);
    let put: [(Put, &str); 4] = [
        (|path| fs::create_dir(path).unwrap(), "it is not a file"),
        (|path| symlink("memory.json", path).unwrap(), "Too many levels of symbolic links"),
        (|path| symlink("/dev/zero", path).unwrap(), "it is not a file"),
        (
            |path| File::create(path).unwrap().set_len(FILE_BYTES_MAX + 1).unwrap(),
            "it has more than 67108864 bytes",
        ),
    ];
    for (put, why) in put {
        let (_dir, mut store, path) = store();
        put(&path);
        let error = store.load().unwrap_err().to_string();
        assert!(error.contains(why) && error.ends_with(".bad-1"), "{error}");
        store.save(&memory()).unwrap();
        assert_eq!(store.load().unwrap(), memory());
        assert_eq!(beside(&path), ["bad-1"]);
    }
}

#[test]
fn a_file_without_the_right_to_read_it_is_kept_aside() {
    let (dir, mut store, path) = store();
    store.save(&memory()).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o0)).unwrap();
    if fs::read(&path).is_ok() {
        // Root may read everything: the loop of symbolic links above is its case.
        return;
    }
    let error = store.load().unwrap_err().to_string();
    assert!(error.contains("Permission denied") && error.ends_with(".bad-1"), "{error}");
    store.save(&Memory::default()).unwrap();
    let aside = dir.path().join("memory.json.bad-1");
    fs::set_permissions(&aside, fs::Permissions::from_mode(0o600)).unwrap();
    assert_eq!(read_memory(&fs::read(&aside).unwrap()), Ok(memory()));
}

#[test]
fn a_few_bad_files_are_kept_and_the_oldest_go() {
    let (dir, mut store, path) = store();
    fs::write(dir.path().join("memory.json.bad-x"), "somebody else's").unwrap();
    fs::create_dir(dir.path().join("memory.json.bad-2")).unwrap();
    for round in 1..=10 {
        fs::write(&path, format!("bad {round}")).unwrap();
        store.load().unwrap_err();
    }
    let expected = ["bad-10", "bad-11", "bad-12", "bad-2", "bad-9", "bad-x"];
    assert_eq!(beside(&path), expected);
    assert_eq!(fs::read_to_string(dir.path().join("memory.json.bad-12")).unwrap(), "bad 10");
}

#[test]
fn a_bad_file_that_cannot_be_put_aside_is_not_written_over() {
    let (dir, mut store, path) = store();
    fs::write(&path, BROKEN).unwrap();
    // The last number there is: no name is left, also for root.
    let last = dir.path().join(format!("memory.json.bad-{}", u64::MAX));
    fs::write(&last, "").unwrap();
    let error = store.load().unwrap_err().to_string();
    assert!(error.contains("nor be put aside (no name is left)"), "{error}");
    for _ in 0..2 {
        let error = store.save(&memory()).unwrap_err().to_string();
        assert!(error.contains("nothing is saved until"), "{error}");
        assert_eq!(fs::read(&path).unwrap(), BROKEN);
    }
    fs::remove_file(&last).unwrap();
    store.save(&memory()).unwrap();
    assert_eq!(store.load().unwrap(), memory());
    assert_eq!(fs::read(dir.path().join("memory.json.bad-1")).unwrap(), BROKEN);
}

#[test]
fn a_bad_file_that_somebody_takes_away_is_in_nobodys_way() {
    let (dir, mut store, path) = store();
    fs::write(&path, BROKEN).unwrap();
    let last = dir.path().join(format!("memory.json.bad-{}", u64::MAX));
    fs::write(&last, "").unwrap();
    store.load().unwrap_err();
    fs::remove_file(&last).unwrap();
    fs::remove_file(&path).unwrap();
    store.save(&memory()).unwrap();
    assert_eq!(store.load().unwrap(), memory());
    assert_eq!(beside(&path), [""; 0]);
}

#[test]
fn a_full_disk_loses_neither_the_bad_file_nor_the_last_good_one() {
    let (dir, mut store, path) = store();
    let new = dir.path().join("memory.json.new");
    fs::write(&path, BROKEN).unwrap();
    symlink("/dev/full", &new).unwrap();
    store.load().unwrap_err();
    let error = store.save(&memory()).unwrap_err().to_string();
    assert!(error.contains("No space left"), "{error}");
    assert_eq!(fs::read(dir.path().join("memory.json.bad-1")).unwrap(), BROKEN);
    fs::remove_file(&new).unwrap();
    store.save(&memory()).unwrap();
    symlink("/dev/full", &new).unwrap();
    store.save(&Memory::default()).unwrap_err();
    assert_eq!(store.load().unwrap(), memory());
}

#[test]
fn a_directory_that_somebody_removes_is_made_again() {
    let dir = tempfile::tempdir().unwrap();
    let below = dir.path().join("below");
    let mut store = FileStore::new(&below);
    store.load().unwrap();
    fs::remove_dir_all(&below).unwrap();
    store.save(&memory()).unwrap();
    assert_eq!(store.load().unwrap(), memory());
}

#[test]
fn a_save_that_fails_leaves_the_last_one() {
    let (dir, mut store, _) = store();
    store.save(&memory()).unwrap();
    // A directory where the new file would go makes the write fail, also for root.
    fs::create_dir(dir.path().join("memory.json.new")).unwrap();
    let error = store.save(&Memory::default()).unwrap_err().to_string();
    assert!(error.contains("memory.json"), "{error}");
    assert_eq!(store.load().unwrap(), memory());
}

#[test]
fn what_the_fuzzer_begins_with_are_memories_and_one_is_of_another_version() {
    let full = read_memory(include_bytes!("../../../../fuzz/corpus/state/every_field.json"));
    let fields = serde_json::to_value(full.unwrap()).unwrap();
    for (name, value) in fields.as_object().unwrap() {
        let is_empty = ["{}", "[]"].contains(&value.to_string().as_str());
        assert!(!is_empty, "every_field.json has no {name}");
    }
    let empty = include_bytes!("../../../../fuzz/corpus/state/empty.json");
    assert_eq!(read_memory(empty), Ok(Memory::default()));
    let other = include_bytes!("../../../../fuzz/corpus/state/of_the_future.json");
    assert_eq!(read_memory(other).unwrap_err(), "its format is 2, this version has 1");
}
