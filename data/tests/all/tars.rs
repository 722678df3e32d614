//! Unusual tars: without an end mark, concatenated, sparse, with links, system folders and long names.

use std::fs;
use std::path::Path;

use alexnet_data::{Pack, PackOptions, PackReport, pack};
use proptest::prelude::*;

use crate::common::{Bytes, Setting, failure, jpeg, square, tar_of, write};

/// A member: type, name, link target, bytes.
struct Part<'a>(u8, &'a str, &'a str, Bytes);

fn header(kind: u8, name: &str, link: &str, size: usize) -> tar::Header {
    let mut header = tar::Header::new_gnu();
    header.set_entry_type(tar::EntryType::new(kind));
    header.as_gnu_mut().unwrap().name[..name.len()].copy_from_slice(name.as_bytes());
    header.as_gnu_mut().unwrap().linkname[..link.len()].copy_from_slice(link.as_bytes());
    header.set_size(size as u64);
    header.set_mode(0o644);
    header.set_cksum();
    header
}

/// Consecutive members without an end mark.
fn blocks(parts: &[Part]) -> Bytes {
    let mut bytes = Bytes::new();
    for Part(kind, name, link, body) in parts {
        bytes.extend(header(*kind, name, link, body.len()).as_bytes());
        bytes.extend(body);
        bytes.resize(bytes.len().next_multiple_of(512), 0);
    }
    bytes
}

fn ended(mut bytes: Bytes) -> Bytes {
    bytes.resize(bytes.len() + 1024, 0);
    bytes
}

/// Two classes of two images, by class and number.
fn four() -> Vec<(String, Bytes)> {
    let name = |class: &str, i: u32| (format!("{class}/{i}.jpg"), jpeg(40, 33 + i, i));
    [("cat", 0), ("cat", 1), ("dog", 2), ("dog", 3)].map(|(class, i)| name(class, i)).to_vec()
}

fn packed(setting: &Setting, source: &Path) -> (Pack, PackReport) {
    let out = setting.path("tar.pack");
    let _ = fs::remove_dir_all(&out);
    let report = pack(&PackOptions { size: 32, jobs: 2, ..PackOptions::new(source, &out) }, |_| ()).unwrap();
    (Pack::open(&out).unwrap(), report)
}

/// Names and labels in order.
fn labels(pack: &Pack) -> Vec<(String, u32)> {
    (0..pack.len()).map(|i| (pack.name(i), pack.label(i))).collect()
}

fn expected(names: &[(&str, u32)]) -> Vec<(String, u32)> {
    names.iter().map(|(name, label)| ((*name).to_string(), *label)).collect()
}

const FOUR: [(&str, u32); 4] = [("cat/0.jpg", 0), ("cat/1.jpg", 0), ("dog/2.jpg", 1), ("dog/3.jpg", 1)];

#[test]
fn hidden_and_system_folders_are_left_out_as_in_folders() {
    let setting = Setting::new();
    let extra = [
        ".ipynb_checkpoints/x.jpg",
        "cat/.ipynb_checkpoints/0-checkpoint.jpg",
        "dog/.AppleDouble/2.jpg",
        "dog/._2.jpg",
        "dog/@eaDir/2.jpg/SYNOFILE_THUMB_M.jpg",
        "__MACOSX/cat/._0.jpg",
        "cat/Thumbs.db",
    ];
    let all: Vec<(String, Bytes)> =
        four().into_iter().chain(extra.map(|name| (name.to_string(), jpeg(40, 40, 9)))).collect();
    let in_train: Vec<(String, Bytes)> = all.iter().map(|(name, b)| (format!("./train/{name}"), b.clone())).collect();
    all.iter().for_each(|(name, bytes)| drop(write(&setting, &format!("hid/{name}"), bytes)));
    let (tar, _) = packed(&setting, &write(&setting, "hid.tar", &tar_of(&in_train)));
    let fingerprint = tar.fingerprint().to_string();
    assert_eq!((labels(&tar), tar.classes().join(" ").as_str()), (expected(&FOUR), "cat dog"));
    let (folder, _) = packed(&setting, &setting.path("hid"));
    assert_eq!((labels(&folder), folder.fingerprint()), (expected(&FOUR), fingerprint.as_str()));
}

#[test]
fn a_tar_without_an_end_is_read_if_it_ends_after_a_member() {
    let setting = Setting::new();
    let whole = tar_of(&four());
    let bytes = &whole[..whole.len() - 1024];
    let (pack, report) = packed(&setting, &write(&setting, "noend.tar", bytes));
    assert_eq!(labels(&pack), expected(&FOUR));
    assert!(report.notes[0].starts_with("noend.tar has no end mark; all its members are whole"), "{report:?}");
    let (_, report) = packed(&setting, &write(&setting, "whole.tar", &whole));
    assert!(report.notes.is_empty(), "{report:?}");
    // Cut within the last member, its padding, or a header.
    let last = four()[3].1.len();
    let start = bytes.len() - last.next_multiple_of(512);
    for (length, said) in [
        (start + last - 1, format!("member \"dog/3.jpg\" at offset {start} has {last} bytes, {} are there", last - 1)),
        (start + last, format!("{last} are there, but not all of the block that they end in")),
        (start - 12, format!("cut short at offset {}, after member \"dog/2.jpg\": 500 bytes of a header", start - 12)),
    ] {
        let error = failure(&setting, &write(&setting, "cut.tar", &bytes[..length]), |o| o);
        assert!(error.contains(&said) && error.ends_with("copy it again"), "{error}");
    }
}

#[test]
fn joined_tars_are_read_to_the_end_of_the_last() {
    let setting = Setting::new();
    let members = four();
    let padded = |members: &[(String, Bytes)]| {
        let mut bytes = tar_of(members);
        bytes.resize(bytes.len().next_multiple_of(10_240), 0);
        bytes
    };
    let joined = [padded(&members[..2]), padded(&members[2..])].concat();
    let (pack, report) = packed(&setting, &write(&setting, "cat2.tar", &joined));
    assert_eq!(labels(&pack), expected(&FOUR));
    assert_eq!(report.notes, ["cat2.tar is 2 concatenated tars; all are read"]);
    // A member of the second replaces one of the first, as when both are unpacked.
    let other = jpeg(40, 50, 77);
    let again = [padded(&members), padded(&[("cat/1.jpg".to_string(), other.clone())])].concat();
    let (pack, report) = packed(&setting, &write(&setting, "again.tar", &again));
    assert_eq!((labels(&pack), pack.pixels(1).unwrap().to_vec()), (expected(&FOUR), square(&setting, &other)));
    assert!(report.notes[0].starts_with("1 members are replaced by later ones of the same name"), "{report:?}");
    // Bytes after the end that are no tar are ignored, as by tar.
    let (pack, _) = packed(&setting, &write(&setting, "tail.tar", &[padded(&members), b"tail".to_vec()].concat()));
    assert_eq!(pack.len(), 4);
}

/// The pieces of a file with a hole: an image, zeros after it, and one byte at the end.
fn holed() -> (Bytes, Vec<(usize, usize)>) {
    let image = jpeg(40, 36, 5);
    let first = image.len().next_multiple_of(512);
    let mut whole = image;
    whole.resize(307_199, 0);
    whole.push(7);
    (whole, vec![(0, first), (306_688, 512)])
}

#[test]
fn sparse_members_of_every_form_are_read() {
    let setting = Setting::new();
    let (whole, map) = holed();
    let stored: Bytes = map.iter().flat_map(|&(at, length)| whole[at..at + length].to_vec()).collect();
    let rest: Vec<(String, Bytes)> = four();
    // GNU's old form, of four pieces in the header and more in a block after it.
    let old = |pieces: &[(usize, usize)]| {
        let mut header = header(b'S', "cat/sparse.jpg", "", stored.len());
        let entry = |at: usize, length: usize| format!("{at:011o}\0{length:011o}\0").into_bytes();
        for (place, &(at, length)) in header.as_mut_bytes()[386..482].chunks_exact_mut(24).zip(pieces) {
            place.copy_from_slice(&entry(at, length));
        }
        header.as_mut_bytes()[482] = u8::from(pieces.len() > 4);
        header.as_mut_bytes()[483..495].copy_from_slice(format!("{:011o}\0", whole.len()).as_bytes());
        header.set_cksum();
        let mut bytes = header.as_bytes().to_vec();
        if pieces.len() > 4 {
            let mut block: Bytes = pieces[4..].iter().flat_map(|&(at, length)| entry(at, length)).collect();
            block.resize(512, 0);
            bytes.extend(block);
        }
        [bytes, stored.clone(), ended(blocks(&[]))].concat()
    };
    let halves = |&(at, length): &(usize, usize)| [(at, length - 256), (at + length - 256, 256)];
    let many: Vec<(usize, usize)> = map.iter().flat_map(halves).chain([(whole.len(), 0)]).collect();
    // The three of pax.
    let record = |key: &str, value: &str| {
        let body = format!(" {key}={value}\n");
        let digits = (body.len() + 3).to_string().len();
        format!("{}{body}", body.len() + digits)
    };
    let pax = |records: &[(&str, String)], body: Bytes| {
        let text: String = records.iter().map(|(key, value)| record(key, value)).collect();
        ended(blocks(&[Part(b'x', "PaxHeader", "", text.into()), Part(b'0', "GNUSparseFile.0/x", "", body)]))
    };
    let size = whole.len().to_string();
    let name = ("GNU.sparse.name", "cat/sparse.jpg".to_string());
    let mut v00 = vec![
        ("path", "cat/sparse.jpg".to_string()),
        ("GNU.sparse.size", size.clone()),
        ("GNU.sparse.numblocks", "2".into()),
    ];
    for (at, length) in &map {
        v00.extend([("GNU.sparse.offset", at.to_string()), ("GNU.sparse.numbytes", length.to_string())]);
    }
    let list = map.iter().flat_map(|(at, length)| [at.to_string(), length.to_string()]).collect::<Vec<_>>().join(",");
    let v01 = [name.clone(), ("GNU.sparse.size", size.clone()), ("GNU.sparse.map", list)];
    let v10 = [name, ("GNU.sparse.major", "1".into()), ("GNU.sparse.minor", "0".into()), ("GNU.sparse.realsize", size)];
    let mut table: Bytes = format!("2\n{}\n{}\n{}\n{}\n", map[0].0, map[0].1, map[1].0, map[1].1).into();
    table.resize(512, 0);
    let forms = [
        old(&map),
        old(&many),
        pax(&v00, stored.clone()),
        pax(&v01, stored.clone()),
        pax(&v10, [table, stored.clone()].concat()),
    ];
    let image = square(&setting, &jpeg(40, 36, 5));
    for (number, form) in forms.iter().enumerate() {
        let before = blocks(&[Part(b'5', "cat/", "", Bytes::new())]);
        let bytes = [before, form[..form.len() - 1024].to_vec(), tar_of(&rest)].concat();
        let (pack, _) = packed(&setting, &write(&setting, "sparse.tar", &bytes));
        assert_eq!((pack.len(), pack.name(2).as_str()), (5, "cat/sparse.jpg"), "form {number}");
        assert!(*pack.pixels(2).unwrap() == image, "form {number}");
    }
    // A map that leaves the file, or claims more than is stored.
    let wrong = |map: &[(usize, usize)]| {
        let list = map.iter().map(|(at, length)| format!("{at},{length}")).collect::<Vec<_>>().join(",");
        let bytes = pax(&[v01[0].clone(), v01[1].clone(), ("GNU.sparse.map", list)], stored.clone());
        failure(&setting, &write(&setting, "wrong.tar", &bytes), |o| o)
    };
    let error = wrong(&[(0, 512), (307_000, 512)]);
    assert!(
        error.contains("damaged at offset 1024, after the beginning: a sparse file whose map leaves it"),
        "{error}"
    );
    assert!(wrong(&[(0, 300_000)]).contains("a sparse file that stores less than it says"));
    assert!(wrong(&[(512, 512), (0, 512)]).contains("whose map leaves it or is not in order"));
}

#[test]
fn hard_links_have_the_bytes_of_their_target_and_others_their_true_reason() {
    let setting = Setting::new();
    let image = jpeg(40, 41, 3);
    let parts = [
        Part(b'0', "cat/0.jpg", "", image.clone()),
        Part(b'1', "cat/1.jpg", "cat/0.jpg", Bytes::new()),
        Part(b'1', "dog/2.jpg", "./cat/1.jpg", Bytes::new()),
        Part(b'1', "dog/3.jpg", "nowhere.jpg", Bytes::new()),
        Part(b'2', "dog/4.jpg", "../cat/0.jpg", Bytes::new()),
        Part(b'6', "dog/5.jpg", "", Bytes::new()),
        Part(b'Z', "dog/6.jpg", "", b"what".to_vec()),
    ];
    let source = write(&setting, "links.tar", &ended(blocks(&parts)));
    let out = setting.path("links.pack");
    let report = pack(&PackOptions { size: 32, max_bad: 4, ..PackOptions::new(&source, &out) }, |_| ()).unwrap();
    let reasons: Vec<String> = report.rejected.iter().map(|r| format!("{}: {}", r.name, r.reason)).collect();
    let expected = [
        "dog/3.jpg: not an image: a hard link to \"nowhere.jpg\", which is not in the archive",
        "dog/4.jpg: not an image: a symbolic link to \"../cat/0.jpg\" within the archive, which is not followed",
        "dog/5.jpg: not an image: a device or fifo within the archive",
        "dog/6.jpg: not an image: a member of the type 'Z', which is not known",
    ];
    assert_eq!(reasons, expected);
    let pack = Pack::open(&out).unwrap();
    assert_eq!(pack.len(), 3);
    (0..3).for_each(|i| assert!(*pack.pixels(i).unwrap() == square(&setting, &image)));
}

#[test]
fn long_names_are_read_up_to_a_limit() {
    let setting = Setting::new();
    let long = format!("cat/{}.jpg", "x".repeat(3000));
    let mut name = long.clone().into_bytes();
    name.push(0);
    let rest = tar_of(&four());
    let gnu =
        [blocks(&[Part(b'L', "././@LongLink", "", name), Part(b'0', "cat/xxx", "", jpeg(40, 40, 1))]), rest.clone()];
    let (pack, _) = packed(&setting, &write(&setting, "gnu.tar", &gnu.concat()));
    assert_eq!((pack.len(), pack.name(2)), (5, long));
    // Claims beyond the limit are refused unread, whether the bytes are there or not.
    for (kind, noun, limit) in [(b'L', "a name", 65_536), (b'K', "a name", 65_536), (b'x', "pax records", 1_048_576)] {
        let claim = header(kind, "././@LongLink", "", 300 << 20);
        let bytes = [blocks(&[Part(b'0', "cat/0.jpg", "", jpeg(40, 40, 1))]), claim.as_bytes().to_vec()].concat();
        let at = bytes.len() - 512;
        let path = write(&setting, "claim.tar", &bytes);
        let file = fs::File::options().write(true).open(&path).unwrap();
        file.set_len(bytes.len() as u64 + (300 << 20) + 1024).unwrap();
        let error = failure(&setting, &path, |o| o);
        let said = format!(
            "damaged at offset {at}, after member \"cat/0.jpg\": {noun} of 314572800 bytes, at most {limit} are read"
        );
        assert!(error.contains(&said), "{error}");
    }
}

#[test]
fn two_sets_in_a_tar_are_no_classes() {
    let setting = Setting::new();
    let both: Vec<(String, Bytes)> = ["train", "val"]
        .iter()
        .flat_map(|part| four().into_iter().map(move |(n, b)| (format!("{part}/{n}"), b)))
        .collect();
    let error = failure(&setting, &write(&setting, "both.tar", &tar_of(&both)), |o| o);
    assert!(error.contains("both.tar: holds train, val: splits of a data set, not classes; unpack it"), "{error}");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    /// Any change gives a pack or an error, never a panic.
    #[test]
    fn changed_headers_are_errors_or_read(
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
        cut in prop::option::of(any::<prop::sample::Index>()),
    ) {
        let setting = Setting::new();
        let records = b"31 GNU.sparse.map=0,512,1024,4\n22 GNU.sparse.size=2048\n".to_vec();
        let parts = [
            Part(b'L', "././@LongLink", "", b"cat/long.jpg\0".to_vec()),
            Part(b'0', "cat/x", "", vec![1; 30]),
            Part(b'x', "PaxHeader", "", records),
            Part(b'0', "dog/sparse.jpg", "", vec![2; 516]),
            Part(b'1', "dog/hard.jpg", "cat/long.jpg", Bytes::new()),
            Part(b'S', "dog/old.jpg", "", vec![3; 20]),
        ];
        let mut bytes = ended(blocks(&parts));
        for (at, value) in changes {
            let at = at.index(bytes.len());
            bytes[at] = value;
        }
        if let Some(cut) = cut {
            bytes.truncate(cut.index(bytes.len()));
        }
        let source = write(&setting, "changed.tar", &bytes);
        let options = PackOptions { size: 8, max_bad: 99, ..PackOptions::new(source, setting.path("changed.pack")) };
        if let Err(error) = pack(&options, |_| ()) {
            prop_assert!(!error.to_string().contains("panicked"), "{error}");
        }
    }
}
