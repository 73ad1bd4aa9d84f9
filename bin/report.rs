//! The report of sx-get --check, as text and as JSON.

use std::fmt::Write;
use std::path::Path;
use storagex::get::{Count, Gap, Health, Report};
use storagex::wire::carrier::sturdy::Corrections;
use storagex::{Source, counted};

/// A line for the file that has the key, if one has it; one for the key, each kind of picture, each store, each
/// gap, and the result.
pub fn text(key: &Source, file: Option<&str>, report: &Report, no_folder: Option<&Path>) -> String {
    let mut text = String::new();
    if let Some(file) = file {
        line(&mut text, &format!("file: {file}"));
    }
    line(&mut text, &format!("key: {key}"));
    let kinds = [
        ("data", &report.data),
        ("parity", &report.parity),
        ("index", &report.index),
    ];
    let stores = report.stores.iter();
    let stores = stores.map(|(store, count)| (format!("store {store}"), count));
    let kinds = kinds.map(|(kind, count)| (kind.to_owned(), count));
    for (what, count) in kinds.into_iter().chain(stores) {
        let Count {
            good,
            missing,
            damaged,
        } = count;
        line(
            &mut text,
            &format!("{what}: {good} good, {missing} missing, {damaged} damaged"),
        );
    }
    if let Some(corrected) = corrected(&report.corrections) {
        line(&mut text, &format!("corrected: {corrected}"));
    }
    if report.rebuildable > 0 {
        let frames = counted(report.rebuildable, "data frame");
        line(&mut text, &format!("rebuildable: {frames}"));
    }
    for gap in &report.lost {
        line(&mut text, &lost(gap));
    }
    if let Some((drawn, all)) = report.sample {
        let chance = 100.0 * report.confidence();
        line(
            &mut text,
            &format!(
                "sample: {drawn} of {all} frames; it would show a loss of 1 % with a probability of {chance:.1} %"
            ),
        );
    }
    let result = match no_folder {
        Some(folder) => format!("the folder of the store isn't there: {}", folder.display()),
        None => result(report).to_owned(),
    };
    line(&mut text, &format!("result: {result}"));
    text
}

/// The share of bytes of sturdy pictures that had to be corrected; none without such pictures.
fn corrected(corrections: &Corrections) -> Option<String> {
    let (mean, worst, most) = (
        100.0 * corrections.mean(),
        corrections.worst,
        Corrections::MOST,
    );
    (corrections.words > 0).then(|| {
        format!("{mean:.2} % of bytes on average, at worst {worst} in a code word, where {most} are surely corrected")
    })
}

fn corrected_json(corrections: &Corrections) -> Option<serde_json::Value> {
    (corrections.words > 0).then(|| {
        serde_json::json!({
            "bytes": corrections.bytes,
            "wrong": corrections.wrong,
            "mean": corrections.mean(),
            "worst": corrections.worst,
            "most": Corrections::MOST,
        })
    })
}

fn line(text: &mut String, line: &str) {
    let escaped: String = line.chars().flat_map(super::common::escape).collect();
    let _ = writeln!(text, "{escaped}"); // into a string, which doesn't fail
}

fn lost(gap: &Gap) -> String {
    let Gap { frames, bytes, why } = gap;
    if frames.end == u64::MAX {
        return format!("lost: everything: {why}");
    }
    let frames = match (frames.start, frames.end - 1) {
        (first, last) if first == last => format!("frame {first}"),
        (first, last) => format!("frames {first} to {last}"),
    };
    let (length, offset) = (bytes.end - bytes.start, bytes.start);
    format!("lost: {frames}, {length} bytes at {offset}: {why}")
}

fn result(report: &Report) -> &'static str {
    match report.health() {
        Health::Whole => "everything is there",
        Health::Degraded => "all data can be restored, some redundancy is lost: sx-get --repair",
        Health::Lost if is_index_lost(report) => {
            "the index is lost: sx-decode --salvage --sort restores positioned frames without it"
        }
        Health::Lost if is_nothing_left(report) => "data is lost: nothing is left",
        Health::Lost => "data is lost: sx-get --salvage writes the rest",
    }
}

/// Whether nobody knows how many frames there were.
pub fn is_index_lost(report: &Report) -> bool {
    report.data.good == 0 && report.lost.iter().any(|gap| gap.frames.end == u64::MAX)
}

/// Whether it is known that no data can be restored.
pub fn is_nothing_left(report: &Report) -> bool {
    report.sample.is_none()
        && !is_index_lost(report)
        && report.data.good + report.rebuildable == 0
        && !report.lost.is_empty()
}

/// An object.
pub fn json(key: &Source, file: Option<&str>, report: &Report) -> String {
    let count = |count: &Count| {
        serde_json::json!({
            "good": count.good, "missing": count.missing, "damaged": count.damaged,
        })
    };
    let stores = report.stores.iter();
    let stores = stores.map(|(store, number)| (store.clone(), count(number)));
    let gap = |gap: &Gap| {
        let known = |n: u64| (n != u64::MAX).then_some(n);
        serde_json::json!({
            "first_frame": gap.frames.start,
            "frames": known(gap.frames.end).map(|end| end - gap.frames.start),
            "offset": gap.bytes.start,
            "size": known(gap.bytes.end).map(|end| end - gap.bytes.start),
            "why": gap.why,
        })
    };
    let sample = report.sample.map(|(drawn, all)| {
        serde_json::json!({"frames": drawn, "of": all, "confidence": report.confidence()})
    });
    let object = serde_json::json!({
        "file": file,
        "key": key.to_string(),
        "data": count(&report.data),
        "parity": count(&report.parity),
        "index": count(&report.index),
        "rebuildable": report.rebuildable,
        "corrected": corrected_json(&report.corrections),
        "stores": stores.collect::<serde_json::Map<_, _>>(),
        "lost": report.lost.iter().map(gap).collect::<Vec<_>>(),
        "sample": sample,
        "result": match report.health() {
            Health::Whole => "whole",
            Health::Degraded => "degraded",
            Health::Lost => "lost",
        },
    });
    format!("{object}\n")
}
