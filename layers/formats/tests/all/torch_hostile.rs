//! Damaged and hostile files of PyTorch: one error, and no more memory than the file justifies.

use std::io::{Cursor, Write};

use alexnet_formats::{Error, ForeignFile, Format, torch};
use proptest::prelude::*;
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipWriter};

use crate::allocator::allocated_by;
use crate::support::{Pickle, archive, bytes, file, legacy, zip};

/// Reads a file; an error must be a refusal that names it.
fn try_read(content: &[u8]) -> Result<ForeignFile, String> {
    let (_folder, path) = file("a.pt", content);
    torch::read(&path).map_err(|error| {
        assert!(matches!(error, Error::Refused { .. } | Error::Layers(_)), "{error:?}");
        let message = error.to_string();
        assert!(message.contains("a.pt: ") && message.len() < 2000, "{message}");
        message
    })
}

#[track_caller]
fn refusal(content: &[u8]) -> String {
    try_read(content).unwrap_err()
}

/// The message, and that little memory was needed for it.
#[track_caller]
fn cheap_refusal(content: &[u8]) -> String {
    let (allocated, message) = allocated_by(|| refusal(content));
    let justified = 200 * content.len() as u64 + (4 << 20);
    assert!(allocated < justified, "{allocated} bytes for a file of {}: {message}", content.len());
    message
}

/// A checkpoint of both forms with two tensors in a dictionary, and other values.
fn samples() -> [Vec<u8>; 2] {
    let pickle = Pickle::new().raw(b"}(").text("args").global("argparse", "Namespace").raw(b")\x81").text("model");
    let pickle = pickle.global("collections", "OrderedDict").raw(b")R(").text("a.weight");
    let pickle = pickle.tensor(("Float", "0", 6), 0, &[2, 3], &[1, 2]).text("a.bias").row("Half", "1", 2);
    let pickle = pickle.raw(b"uu").end();
    let first = bytes(&[1.0, 2.0, 3.0, 4.0, 5.0, 6.0]);
    let second = [0, 0x3c, 0, 0x40];
    [archive(&pickle, &[("0", &first), ("1", &second)]), legacy(&pickle, &[("0", 6, &first), ("1", 2, &second)])]
}

#[test]
fn truncated_at_every_byte() {
    for whole in samples() {
        assert_eq!(try_read(&whole).unwrap().tensors.len(), 2);
        for length in 0..whole.len() {
            cheap_refusal(&whole[..length]);
        }
    }
}

#[test]
fn every_bit_flipped() {
    for whole in samples() {
        for at in 0..whole.len() {
            for bit in [0, 3, 7] {
                let mut damaged = whole.clone();
                damaged[at] ^= 1 << bit;
                let _ = try_read(&damaged);
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn noise_in_the_middle(form in 0..2usize, at in 0.0..1.0, noise in proptest::collection::vec(any::<u8>(), 1..24)) {
        let mut damaged = samples()[form].clone();
        let at = (at * (damaged.len() - noise.len()) as f64) as usize;
        damaged[at..at + noise.len()].copy_from_slice(&noise);
        let _ = try_read(&damaged);
    }

    /// The machine survives any program.
    #[test]
    fn any_pickle(program in proptest::collection::vec(any::<u8>(), 0..200)) {
        let mut pickle = b"\x80\x02".to_vec();
        pickle.extend(program);
        let _ = try_read(&archive(&pickle, &[]));
    }

    /// Only opcodes that the machine knows, so that it goes further.
    #[test]
    fn any_opcodes(choices in proptest::collection::vec(0..40usize, 0..300)) {
        let parts: Vec<Vec<u8>> = parts();
        let program: Vec<u8> = choices.iter().flat_map(|&choice| parts[choice % parts.len()].clone()).collect();
        let _ = try_read(&archive(&Pickle::new().raw(&program).end(), &[("0", &[0; 64])]));
    }
}

/// Pieces of pickles.
fn parts() -> Vec<Vec<u8>> {
    let single = b"N\x88\x89)]}\x8f(012tlde\x90aasu\x85\x86\x87\x91\x94bR\x81\x92Q";
    let mut parts: Vec<Vec<u8>> = single.iter().map(|&byte| vec![byte]).collect();
    let bare = || Pickle(Vec::new());
    parts.extend([
        b"q\0".to_vec(),
        b"h\0".to_vec(),
        bare().text("a").0,
        bare().number(2).0,
        bare().row("Float", "0", 4).0,
        bare().storage("Float", "0", 16).0,
        bare().global("torch._utils", "_rebuild_tensor_v2").0,
        bare().global("collections", "OrderedDict").0,
        bare().global("torch._tensor", "_rebuild_from_type_v2").0,
    ]);
    parts
}

#[test]
fn tensors_outside_their_storage() {
    let of = |shape: &[i32], strides: &[i32], offset: i32, len: i32| {
        let pickle =
            Pickle::new().raw(b"}").text("a").tensor(("Float", "0", len), offset, shape, strides).raw(b"s").end();
        cheap_refusal(&archive(&pickle, &[("0", &[0; 16])]))
    };
    assert!(of(&[4], &[1], 1, 4).contains("leaves its storage of 16 bytes"));
    assert!(of(&[2, 2], &[4, 1], 0, 4).contains("leaves its storage"));
    assert!(of(&[2, 2], &[i32::MAX, i32::MAX], 0, 4).contains("leaves its storage"));
    assert!(of(&[1], &[1], i32::MAX, 4).contains("leaves its storage"));
    assert!(of(&[-1], &[1], 0, 4).contains("not of whole numbers"));
    assert!(of(&[1], &[-1], 0, 4).contains("not of whole numbers"));
    assert!(of(&[1, 1], &[1], 0, 4).contains("not described as PyTorch does"));
    assert!(of(&[1; 9], &[1; 9], 0, 4).contains("a tensor of 9 axes"));
    assert!(of(&[5], &[1], 0, 5).contains("16 bytes where 20 are needed"));
    assert!(of(&[0, i32::MAX, i32::MAX, i32::MAX], &[1; 4], 0, 4).contains("does not fit in memory"));
    assert!(of(&[1], &[1], 0, -1).contains("not described as PyTorch does"));
}

/// A number that is repeated without end by strides of 0, and many names of one tensor.
#[test]
fn more_numbers_than_the_file_justifies() {
    let repeated = Pickle::new().raw(b"}").text("a").tensor(("Float", "0", 1), 0, &[1 << 30, 1 << 20], &[0, 0]);
    let message = cheap_refusal(&archive(&repeated.raw(b"s").end(), &[("0", &[0; 4])]));
    assert!(message.contains("more than the file's length justifies"), "{message}");
    let mut pickle = Pickle::new().raw(b"}(").text("first").tensor(("Float", "0", 1), 0, &[100_000], &[0]).raw(b"q\0");
    for number in 0..1000 {
        pickle = pickle.text(&number.to_string()).raw(b"h\0");
    }
    let message = cheap_refusal(&archive(&pickle.raw(b"u").end(), &[("0", &[0; 4])]));
    assert!(message.contains("more than the file's length justifies"), "{message}");
}

#[test]
fn zip_bombs() {
    let pickle = Pickle::new().raw(b"}").text("a").row("Float", "0", 1 << 22).raw(b"s").end();
    let zeros = vec![0; 16 << 20];
    let message = cheap_refusal(&zip(&[("a/data.pkl", &pickle), ("a/data/0", &zeros)], CompressionMethod::Deflated));
    assert!(message.contains("more than the file's length justifies"), "{message}");
    let small = Pickle::new().raw(b"}").text("a").row("Float", "0", 1).raw(b"s").end();
    let message = cheap_refusal(&zip(&[("a/data.pkl", &small), ("a/data/0", &zeros)], CompressionMethod::Deflated));
    assert!(message.contains("damaged or a bomb"), "{message}");
    let message = cheap_refusal(&zip(&[("a/data.pkl", &zeros)], CompressionMethod::Deflated));
    assert!(message.contains("damaged or a bomb"), "{message}");
}

/// Lengths in the directory that the data do not have.
#[test]
fn claimed_lengths() {
    let pickle = Pickle::new().raw(b"}").text("a").row("Float", "0", 1).raw(b"s").end();
    let whole = archive(&pickle, &[("0", &[0; 4])]);
    let entry = whole.windows(4).enumerate().filter(|(_, w)| *w == b"PK\x01\x02").map(|(at, _)| at).nth(1).unwrap();
    for claim in [5u32, 0xffff, 0x7fff_ffff, 0xffff_fffe] {
        let mut damaged = whole.clone();
        damaged[entry + 20..entry + 24].copy_from_slice(&claim.to_le_bytes());
        damaged[entry + 24..entry + 28].copy_from_slice(&claim.to_le_bytes());
        cheap_refusal(&damaged);
    }
}

#[test]
fn pickle_bombs() {
    let refused = |program: &[u8]| cheap_refusal(&archive(&Pickle::new().raw(program).end(), &[]));
    // Nested a hundred thousand times: no call is nested with it.
    let nested = [vec![b']'; 100_000], vec![b'a'; 99_999]].concat();
    assert!(refused(&nested).contains("holds no dictionary of tensors"));
    let tuples = [vec![b')'], vec![b'\x85'; 100_000]].concat();
    assert!(refused(&tuples).contains("holds no dictionary of tensors"));
    // More values than any checkpoint has, each of one byte.
    assert!(refused(&vec![b'N'; 3 << 20]).contains("more than 1048576 values"));
    let doubled = [b"N".to_vec(), vec![b'2'; 3 << 20]].concat();
    assert!(refused(&doubled).contains("more than 1048576 values"));
    // A list that is appended to itself, twice as long each time.
    let mut itself = b"]q\0".to_vec();
    for _ in 0..64 {
        itself.extend(b"(h\0h\0h\0h\0e");
    }
    assert!(refused(&itself).contains("holds no dictionary of tensors"));
    // The same long list of pairs made into a dictionary again and again.
    let pairs = [b"](".to_vec(), b"NN\x86".repeat(100_000), b"e\x85q\0".to_vec()].concat();
    let again = b"ccollections\nOrderedDict\nh\0R".repeat(10_000);
    assert!(refused(&[pairs, again].concat()).contains("more than 1048576 values"));
    // A dictionary in itself.
    let circle = Pickle(Vec::new()).raw(b"}q\0").text("state_dict").raw(b"h\0s").0;
    assert!(refused(&circle).contains("holds no tensors by name"));
    // A name of many bytes that is claimed and not there.
    assert!(refused(b"X\xff\xff\xff\x7f").contains("more bytes where"));
    assert!(refused(b"\x8d\xff\xff\xff\xff\xff\xff\xff\xff").contains("more bytes where"));
    assert!(refused(&[b"c".to_vec(), vec![b'a'; 5000]].concat()).contains("a name of more than 4096 bytes"));
    // Opcodes of protocol 0 and of registries.
    assert!(refused(b"I1\n").contains("opcode 0x49"));
    assert!(refused(b"\x82\x01").contains("opcode 0x82"));
    assert!(refused(b"h\x07").contains("recalls what it has not remembered"));
    assert!(refused(b"(t0").contains("takes a value where there is none"));
    assert!(refused(b"}(Nu").contains("a key without a value"));
    assert!(refused(b"t").contains("without a mark"));
}

#[test]
fn duplicate_names_and_records() {
    let row = bytes(&[1.0]);
    let twice = Pickle::new().raw(b"}(").text("a").row("Float", "0", 1).text("a").row("Float", "0", 1).raw(b"u").end();
    assert!(refusal(&archive(&twice, &[("0", &row)])).contains("two tensors of the name a"));
    let missing = Pickle::new().raw(b"}").text("a").row("Float", "9", 1).raw(b"s").end();
    assert!(refusal(&archive(&missing, &[("0", &row)])).contains("has no record data/9"));
    let outside = Pickle::new().raw(b"}").text("a").row("Float", "../../etc/passwd", 1).raw(b"s").end();
    assert!(refusal(&archive(&outside, &[("0", &row)])).contains("has no record data/../../etc/passwd"));
    let two: [(&str, &[u8]); 2] = [("a/data.pkl", &missing), ("b/data.pkl", &missing)];
    assert!(refusal(&zip(&two, CompressionMethod::Stored)).contains("more than one data.pkl"));
}

/// A damaged number in a zip is found by its checksum.
#[test]
fn checksums_are_compared() {
    let pickle = Pickle::new().raw(b"}").text("a").row("Float", "0", 2).raw(b"s").end();
    let mut damaged = archive(&pickle, &[("0", &bytes(&[1.0, 123.456]))]);
    let at = damaged.windows(4).position(|w| w == 123.456f32.to_le_bytes()).unwrap();
    damaged[at] ^= 1;
    assert!(refusal(&damaged).contains("damaged"), "{}", refusal(&damaged));
}

#[test]
fn legacy_storages() {
    let pickle = Pickle::new().raw(b"}").text("a").row("Float", "0", 2).raw(b"s").end();
    let row = bytes(&[1.0, 2.0]);
    assert!(cheap_refusal(&legacy(&pickle, &[("0", 3, &row)])).contains("another length than expected"));
    assert!(cheap_refusal(&legacy(&pickle, &[])).contains("has no numbers for the storage 0"));
    assert!(cheap_refusal(&legacy(&pickle, &[("1", 2, &row)])).contains("a storage 1 of no tensor"));
    let huge = Pickle::new().raw(b"}").text("a").row("Float", "0", i32::MAX).raw(b"s").end();
    let message = cheap_refusal(&legacy(&huge, &[("0", i32::MAX as u64, &row)]));
    assert!(message.contains("is truncated: its storage 0 has 8589934588 bytes"), "{message}");
    let other = b"\x80\x02K\x01.";
    assert!(refusal(other).contains("a Python pickle, but not one of PyTorch's"));
    let view = Pickle::new().raw(b"}").text("a").global("torch._utils", "_rebuild_tensor_v2").raw(b"((");
    let view = view.text("storage").global("torch", "FloatStorage").text("0").text("cpu").number(2);
    let view = view.raw(b"(").text("1").number(0).number(2).raw(b"ttQ").number(0).numbers(&[2]).numbers(&[1]);
    let view = view.raw(b"\x89}tRs").end();
    assert!(refusal(&legacy(&view, &[("0", 2, &row)])).contains("a view of another"));
}

/// A zip with many empty records costs no more than its directory.
#[test]
fn many_records() {
    let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
    for number in 0..20_000 {
        zip.start_file(format!("a/{number}"), SimpleFileOptions::default()).unwrap();
    }
    zip.write_all(b"").unwrap();
    let content = zip.finish().unwrap().into_inner();
    let message = cheap_refusal(&content);
    assert!(message.contains("without data.pkl"), "{message}");
    let (_folder, path) = file("a.pt", &content);
    assert!(Format::of(&path).unwrap_err().to_string().contains("a zip file of neither PyTorch nor Keras"));
}
