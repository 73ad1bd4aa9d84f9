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
    let names = lines.flat_map(|line| line.split("  ").next().unwrap().split([' ', ',', '[', '=']));
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

/// The options in each form of a program's synopsis.
fn synopses(page: &str) -> Vec<BTreeSet<String>> {
    let (_, synopsis) = page.split_once(".Sh SYNOPSIS\n.Nm\n").unwrap();
    let (synopsis, _) = synopsis.split_once(".Sh ").unwrap();
    let forms = synopsis.split(".Nm\n");
    let options = |form: &str| {
        let lines = form.replace(" | ", "\n").replace(".Op ", "");
        let lines = lines.lines().map(|line| line.trim_start_matches('.'));
        let options = lines.filter_map(|line| line.strip_prefix("Fl "));
        options
            .map(|option| option.split(" Ar").next().unwrap().to_owned())
            .collect()
    };
    forms.map(options).collect()
}

/// What --keys takes is what sx-put takes but for the index.
#[test]
fn the_synopsis_of_keys_has_the_options_that_it_takes() {
    let forms = synopses(&read("man/sx-put.1"));
    let [plain, keys, ..] = &forms[..] else {
        panic!("{forms:?}");
    };
    let of_index = ["H", "W", "Fl comment", "Fl name"];
    let mut expected: BTreeSet<String> = plain.clone();
    assert!(of_index.iter().all(|option| expected.remove(*option)));
    expected.insert("Fl keys".into());
    assert_eq!(keys, &expected);
    assert!(keys.contains("Fl spread") && keys.contains("Fl min-copies"));
}

#[test]
fn short_help_fits_a_screen_and_is_a_part_of_the_long_one() {
    for (name, program) in PROGRAMS {
        let (short, long) = (run(program, "-h"), run(program, "--help"));
        assert!(short.lines().count() < 24, "{name}: {short}");
        assert!(
            short.lines().all(|line| line.chars().count() <= 80),
            "{name}: {short}"
        );
        let (first, all) = (options_in_help(&short), options_in_help(&long));
        assert!(
            first.is_subset(&all) && first.len() < all.len(),
            "{name}: {first:?}"
        );
        assert!(
            long.contains("\nExamples:\n") && long.contains("\nMessages:\n"),
            "{name}"
        );
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
                true if folder == "tests" || name == "bin/completions" => {
                    found.insert(name + "/");
                }
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

/// README shows a frame: that of an edition of the page that specifies it.
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
    let page = String::from_utf8(bytes).unwrap();
    assert!(
        page.starts_with(".Dd ") && page.contains("\n.Dt STORAGEX 5\n"),
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

/// The chance that more than M of the K + M pictures of a group are lost, each with the chance `p`.
fn group_fails(data: u32, parity: u32, p: f64) -> f64 {
    let all = data + parity;
    // The chance that exactly `lost` are, from that of one less.
    let mut exactly = (1.0 - p).powf(f64::from(all));
    let mut sum = 0.0;
    for lost in 1..=all {
        exactly *= f64::from(all - lost + 1) / f64::from(lost) * p / (1.0 - p);
        sum += if lost > parity { exactly } else { 0.0 };
    }
    sum
}

/// The table of "Which K+M should I take?" in storagex(7), to its two digits.
#[test]
fn the_chances_of_loss_are_right() {
    let page = fs::read_to_string("man/storagex.7").unwrap();
    let mut rows = 0;
    for line in page.lines().filter(|line| line.starts_with(".It ")) {
        let cells: Vec<&str> = line[4..].split(" Ta ").collect();
        let [name, _, one, five] = cells[..] else {
            continue;
        };
        let Some((data, parity)) = name.split_once('+') else {
            continue;
        };
        let (Ok(data), Ok(parity)) = (data.parse::<u32>(), parity.parse()) else {
            continue;
        };
        for (p, said) in [(0.01, one), (0.05, five)] {
            let groups = f64::from(1000 / data) * (-group_fails(data, parity, p)).ln_1p();
            let short = match 1000 % data {
                0 => 0.0,
                rest => (-group_fails(rest, parity, p)).ln_1p(),
            };
            let chance = -(groups + short).exp_m1();
            let said: f64 = said.parse().unwrap();
            assert!(
                (said / chance - 1.0).abs() < 0.05,
                "{name} at {p}: {said}, is {chance:e}"
            );
        }
        rows += 1;
    }
    assert_eq!(rows, 9);
}
