//! The programs as their users run them: every script in `tests/scenarios` is a test here, in an
//! empty folder, with real pipes.

use std::collections::BTreeSet;
use std::env;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;

const REPOSITORY: &str = env!("CARGO_MANIFEST_DIR");
/// Seconds that a script may take: many times what it takes on a slow machine.
const TIME: &str = "100";

/// Makes a test of each script, of the same name.
macro_rules! scenarios {
    ($($test:ident: $script:literal,)*) => {
        const SCRIPTS: &[&str] = &[$($script),*];

        $(
            #[test]
            fn $test() {
                run($script);
            }
        )*
    };
}

scenarios! {
    s01_round_trip: "01-round-trip",
    s02_levels_jobs_and_sizes: "02-levels-jobs-and-sizes",
    s03_edges_of_a_frame: "03-edges-of-a-frame",
    s04_a_folder: "04-a-folder",
    s05_stdin_read_half_way: "05-stdin-read-half-way",
    s06_slow_producer: "06-slow-producer",
    s07_streams_one_after_another: "07-streams-one-after-another",
    s08_stream_that_failed_at_its_start: "08-stream-that-failed-at-its-start",
    s10_command: "10-command",
    s11_command_missing: "11-command-missing",
    s12_closed_pipe: "12-closed-pipe",
    s13_output_file: "13-output-file",
    s14_killed: "14-killed",
    s15_full_disk: "15-full-disk",
    s16_full_file_system: "16-full-file-system",
    s17_terminal: "17-terminal",
    s20_cut_short: "20-cut-short",
    s21_nothing_came: "21-nothing-came",
    s22_out_of_order: "22-out-of-order",
    s23_bit_flipped: "23-bit-flipped",
    s24_bytes_that_are_no_frame: "24-bytes-that-are-no-frame",
    s25_not_a_picture: "25-not-a-picture",
    s26_error_at_once: "26-error-at-once",
    s27_error_at_once_short: "27-error-at-once-short",
    s28_frame_size: "28-frame-size",
    s29_usage: "29-usage",
    s30_keys_that_are_wrong: "30-keys-that-are-wrong",
    s31_file_of_keys: "31-file-of-keys",
    s32_store_damaged: "32-store-damaged",
    s33_store_repaired: "33-store-repaired",
    s34_store_unwritable: "34-store-unwritable",
    s35_store_on_read_only_file_system: "35-store-on-read-only-file-system",
    s36_store_names: "36-store-names",
    s37_store_moved: "37-store-moved",
    s38_put_twice: "38-put-twice",
    s39_list_info_check: "39-list-info-check",
    s40_index_tree: "40-index-tree",
    s41_list_frames: "41-list-frames",
    s42_sort: "42-sort",
    s43_parity: "43-parity",
    s44_several_stores: "44-several-stores",
    s45_repair_killed: "45-repair-killed",
    s46_prune: "46-prune",
    s60_progress: "60-progress",
    s61_interrupted: "61-interrupted",
    s62_at_home: "62-at-home",
    s63_completions: "63-completions",
    s64_progress_of_all_verbs: "64-progress-of-all-verbs",
    s65_single_files_of_a_tar: "65-single-files-of-a-tar",
    s66_comments_and_keys_in_place: "66-comments-and-keys-in-place",
    s47_range_of_sealed_frames: "47-range-of-sealed-frames",
    s48_sealed: "48-sealed",
    s49_content_defined: "49-content-defined",
    s50_wrapper_file: "50-wrapper-file",
    s51_wrapper_folder: "51-wrapper-folder",
    s52_wrapper_names: "52-wrapper-names",
    s53_wrapper_keeps_files: "53-wrapper-keeps-files",
    s54_wrapper_failures: "54-wrapper-failures",
    s55_wrapper_usage: "55-wrapper-usage",
    s56_backup: "56-backup",
    s57_backup_settings: "57-backup-settings",
    s58_backup_prune: "58-backup-prune",
}

#[test]
fn every_script_is_a_test() {
    let listed: BTreeSet<String> = SCRIPTS
        .iter()
        .map(|script| format!("{script}.sh"))
        .collect();
    let there: BTreeSet<String> = fs::read_dir(folder())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| !name.starts_with("lib."))
        .collect();
    assert_eq!(listed, there);
}

fn folder() -> PathBuf {
    Path::new(REPOSITORY).join("tests/scenarios")
}

/// Runs a script in a folder of its own, which it finds empty; its output goes to a file elsewhere.
fn run(script: &str) {
    let (folder_of_run, elsewhere) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let here = folder_of_run.path();
    let output = elsewhere.path().join("output");
    let file = File::create(&output).unwrap();
    let status = Command::new("timeout")
        .args([TIME, "sh"])
        .arg(folder().join(format!("{script}.sh")))
        .current_dir(here)
        .env("PATH", path())
        .env("HOME", here)
        .env("XDG_DATA_HOME", here.join("data"))
        .env_remove("SX_STORE")
        .stdin(File::open("/dev/null").unwrap())
        .stderr(file.try_clone().unwrap())
        .stdout(file)
        .status()
        .unwrap();
    let said = fs::read(&output).unwrap();
    assert!(
        status.success(),
        "{script}.sh: {status}\n{}",
        String::from_utf8_lossy(&said)
    );
}

/// The programs that are tested, the wrapper, and what the system has.
fn path() -> std::ffi::OsString {
    let programs = Path::new(env!("CARGO_BIN_EXE_sx-encode")).parent().unwrap();
    let mut folders = vec![programs.to_owned(), Path::new(REPOSITORY).join("bin")];
    folders.extend(env::split_paths(&env::var_os("PATH").unwrap_or_default()));
    env::join_paths(folders).unwrap()
}
