//! `--help`, man pages, README and the tree agree.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Command;

const PROGRAMS: [(&str, &str); 4] = [
    ("sx-encode", env!("CARGO_BIN_EXE_sx-encode")),
    ("sx-decode", env!("CARGO_BIN_EXE_sx-decode")),
    ("sx-put", env!("CARGO_BIN_EXE_sx-put")),
    ("sx-get", env!("CARGO_BIN_EXE_sx-get")),
];

fn read(path: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
    fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

fn run(program: &str, argument: &str) -> String {
    let output = Command::new(program).arg(argument).output().unwrap();
    assert!(output.status.success());
    String::from_utf8(output.stdout).unwrap()
}

/// `-j` and `--jobs` of every line of `--help` that starts with an option.
fn options_in_help(help: &str) -> BTreeSet<String> {
    let lines = help
        .lines()
        .map(str::trim)
        .filter(|line| line.starts_with('-'));
    let names = lines.flat_map(|line| line.split("  ").next().unwrap().split([' ', ',']));
    names
        .filter(|name| name.starts_with('-'))
        .map(str::to_owned)
        .collect()
}

/// `-j` and `--jobs` of every `.It Fl j , Fl Fl jobs` in a page; levels such as `-0` are shorthands.
fn options_in_page(page: &str) -> BTreeSet<String> {
    let mut options = BTreeSet::new();
    for line in page.lines().filter_map(|line| line.strip_prefix(".It Fl ")) {
        let mut dashes = "-".to_owned();
        for word in line.split_whitespace() {
            match word {
                "Fl" => dashes.push('-'),
                _ if !dashes.is_empty() => {
                    options.insert(std::mem::take(&mut dashes) + word);
                }
                _ => {}
            }
        }
    }
    options.retain(|option| !option[1..].starts_with(|c: char| c.is_ascii_digit()));
    options
}

#[test]
fn every_option_is_in_the_page_and_in_the_help() {
    for (name, program) in PROGRAMS {
        let help = options_in_help(&run(program, "--help"));
        let page = options_in_page(&read(&format!("man/{name}.1")));
        assert!(help.len() > 5, "{name}: {help:?}");
        assert_eq!(help, page, "{name}: --help, then the page");
    }
}

#[test]
fn short_help_and_long_help_are_the_same() {
    for (_, program) in PROGRAMS {
        assert_eq!(run(program, "-h"), run(program, "--help"));
    }
}

#[test]
fn version_is_that_of_the_package() {
    for (name, program) in PROGRAMS {
        let version = format!("{name} {}\n", env!("CARGO_PKG_VERSION"));
        assert_eq!(run(program, "--version"), version);
    }
}

/// The paths that the map in README names: the first words of the lines of its last block.
fn map() -> BTreeSet<String> {
    let readme = read("README.md");
    let (_, map) = readme.split_once("## Map").expect("a map in README");
    let block = map.split("```").nth(1).expect("a block of lines");
    let words = block
        .lines()
        .filter_map(|line| line.split_whitespace().next());
    words
        .filter(|word| word.contains('/'))
        .map(str::to_owned)
        .collect()
}

/// Files below these folders, as a map names them: those of `tests/vectors` and `tests/scenarios`
/// are named by their folder.
fn tree() -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    let mut folders = vec![
        "src".to_owned(),
        "bin".into(),
        "man".into(),
        "tests".into(),
        ".ci".into(),
    ];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join(&folder)).unwrap() {
            let entry = entry.unwrap();
            let name = format!("{folder}/{}", entry.file_name().to_string_lossy());
            match entry.path().is_dir() {
                true if folder == "tests" => drop(found.insert(name + "/")),
                true => folders.push(name),
                false => drop(found.insert(name)),
            }
        }
    }
    found
}

#[test]
fn the_map_names_every_file() {
    let (map, tree) = (map(), tree());
    let missing: Vec<_> = tree.difference(&map).collect();
    let gone: Vec<_> = map.difference(&tree).collect();
    assert!(
        missing.is_empty() && gone.is_empty(),
        "not in the map: {missing:?}; not there: {gone:?}"
    );
}

/// README shows a frame: that of the page that specifies it.
#[test]
fn the_picture_in_readme_is_the_format_page() {
    let png = Path::new(env!("CARGO_MANIFEST_DIR")).join("man/frame.png");
    let mut bytes = Vec::new();
    storagex::decode(
        fs::File::open(png).unwrap(),
        &mut bytes,
        &storagex::decode::Options::default(),
    )
    .unwrap();
    let same = bytes == read("man/storagex.5").into_bytes();
    assert!(
        same,
        "to make it anew: sx-encode -0 -o man/frame.png man/storagex.5"
    );
    assert!(read("README.md").contains("(man/frame.png)"));
}

/// Whatever a message may hint at, the pages name: the variables that the programs read.
#[test]
fn variables_are_in_the_page() {
    let page = read("man/sx-put.1");
    for variable in ["SX_STORE", "XDG_DATA_HOME", "HOME"] {
        assert!(read("bin/common.rs").contains(variable));
        assert!(page.contains(&format!(".It Ev {variable}")), "{variable}");
    }
}
