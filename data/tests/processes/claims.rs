//! Headers with excessive claims cost no memory, and a pack no more than a part of it: peak memory of a process that
//! reads them. The process is this test binary, started again with a task.
#![cfg(target_os = "linux")]

use std::env;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

use alexnet_data::{DecodeOptions, Image, ImageContent, Pack, PackWriter, PackWriterOptions, Storage, read_image};

use crate::common::{self, Setting};

const TASK: &str = "ALEXNET_DATA_TEST_MEMORY_TASK";
const PATH: &str = "ALEXNET_DATA_TEST_MEMORY_PATH";

/// Maximum memory of a rejection beyond an idle process: FAULTS says under 50 MB for an image, under 1 MB for a pack;
/// mapped pack files count.
const IMAGE_KB: u64 = 50_000;
const PACK_KB: u64 = 1_000;

/// Peak memory of this process in KB.
fn peak_kb() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}

/// Does nothing unless started by one of the tests below: opens a path, and prints its memory use and error.
#[test]
fn the_task() {
    let Ok(task) = env::var(TASK) else { return };
    let path = PathBuf::from(env::var_os(PATH).unwrap());
    let use_it = |path: &Path| match task.as_str() {
        "image" => read_image(path, &DecodeOptions::default()).map(drop),
        "pack" => Pack::open(path).map(drop),
        "images" => Pack::open(path).and_then(|pack| pack.verify()),
        other => panic!("no task {other}"),
    };
    // Libraries set themselves up at their first use.
    let _ = use_it(&path.with_file_name("warm"));
    let before = peak_kb();
    let message = use_it(&path).map_or_else(|error| error.to_string(), |()| "none".to_string());
    println!("\npeak {} {message}", peak_kb() - before);
}

/// Memory use of the task in KB, and its message.
fn measure(task: &str, path: &Path) -> (u64, String) {
    let mut command = Command::new(env::current_exe().unwrap());
    command.args(["--exact", "claims::the_task", "--nocapture"]).env(TASK, task).env(PATH, path);
    let output = command.output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{}: {text}", path.display());
    let line = text.lines().find_map(|line| line.strip_prefix("peak ")).unwrap();
    let (peak, message) = line.split_once(' ').unwrap();
    (peak.parse().unwrap(), message.to_string())
}

/// Files of a few bytes whose headers claim this size.
fn claims(width: u32, height: u32) -> Vec<(&'static str, Vec<u8>)> {
    let w = width as u16;
    let h = height as u16;
    let mut jpeg = common::jpeg(16, 16, 1);
    let frame = jpeg.windows(2).position(|pair| pair == [0xff, 0xc0]).unwrap();
    jpeg[frame + 5..frame + 7].copy_from_slice(&h.to_be_bytes());
    jpeg[frame + 7..frame + 9].copy_from_slice(&w.to_be_bytes());

    let mut header = b"IHDR".to_vec();
    header.extend([width.to_be_bytes(), height.to_be_bytes()].concat());
    header.extend([8, 2, 0, 0, 0]);
    let mut png = b"\x89PNG\r\n\x1a\n\0\0\0\x0d".to_vec();
    png.extend(&header);
    png.extend(crc32(&header).to_be_bytes());
    png.extend(b"\0\0\0\0IDAT");
    png.extend(crc32(b"IDAT").to_be_bytes());
    png.extend(b"\0\0\0\0IEND\xaeB\x60\x82");

    let mut gif = b"GIF89a".to_vec();
    gif.extend([w.to_le_bytes(), h.to_le_bytes()].concat());
    gif.extend([0x80, 0, 0, 1, 2, 3, 4, 5, 6]);
    gif.extend(b"\x2c\0\0\0\0");
    gif.extend([w.to_le_bytes(), h.to_le_bytes()].concat());
    gif.extend(b"\0\x02\x02\x44\x01\0\x3b");

    let mut bmp = b"BM".to_vec();
    bmp.extend(
        [[54u32 + 12, 0, 54, 40], [width, height, 1 | 24 << 16, 0], [0, 0, 0, 0]]
            .concat()
            .iter()
            .flat_map(|v| v.to_le_bytes()),
    );
    bmp.extend([0; 12 + 8]);

    let pnm = format!("P6\n{width} {height}\n255\nabc").into_bytes();
    vec![("jpeg", jpeg), ("png", png), ("gif", gif), ("bmp", bmp), ("pnm", pnm)]
}

fn crc32(bytes: &[u8]) -> u32 {
    let mut crc = flate2::Crc::new();
    crc.update(bytes);
    crc.sum()
}

#[test]
fn an_image_that_claims_too_many_pixels_costs_no_memory() {
    let setting = Setting::new();
    fs::write(setting.path("warm"), common::jpeg(32, 32, 1)).unwrap();
    for (width, height) in [(65_500, 65_500), (50_000, 50_000), (65_535, 1_000)] {
        for (kind, bytes) in claims(width, height) {
            let path = setting.path(kind);
            fs::write(&path, bytes).unwrap();
            let (peak, message) = measure("image", &path);
            assert!(message.contains("over the limit of 64000000 pixels"), "{kind}: {message}");
            assert!(message.contains(&format!("{width} x {height}")), "{kind}: {message}");
            assert!(peak < IMAGE_KB, "{kind} of {width} x {height}: {peak} KB");
        }
    }
}

/// Metadata of a PNG may be compressed: 256 KB here, a thousand times as much in memory.
#[test]
fn profiles_and_texts_of_a_png_are_not_unpacked() {
    let setting = Setting::new();
    fs::write(setting.path("warm"), common::jpeg(32, 32, 1)).unwrap();
    let mut png = std::io::Cursor::new(Vec::new());
    image::RgbImage::new(8, 8).write_to(&mut png, image::ImageFormat::Png).unwrap();
    let png = png.into_inner();
    let mut zeros = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::fast());
    for _ in 0..256 {
        zeros.write_all(&[0; 1 << 20]).unwrap();
    }
    let zeros = zeros.finish().unwrap();
    for (kind, head) in [(b"iCCP", &b"a\0\0"[..]), (b"zTXt", b"a\0\0"), (b"iTXt", b"a\0\x01\0\0\0")] {
        let chunk = [&kind[..], head, &zeros].concat();
        let length = (chunk.len() as u32 - 4).to_be_bytes();
        // Behind the signature and the header.
        let bytes = [&png[..33], &length, &chunk, &crc32(&chunk).to_be_bytes(), &png[33..]].concat();
        let path = setting.path("packed");
        fs::write(&path, bytes).unwrap();
        let (peak, message) = measure("image", &path);
        assert!(message == "none" && peak < IMAGE_KB, "{}: {message}, {peak} KB", String::from_utf8_lossy(kind));
    }
    // The largest that a header can say.
    for (kind, bytes) in claims(i32::MAX as u32, i32::MAX as u32).into_iter().filter(|(kind, _)| *kind == "png") {
        fs::write(setting.path(kind), bytes).unwrap();
        let (_, message) = measure("image", &setting.path(kind));
        assert!(message.contains("2147483647 x 2147483647 pixels are over the limit of 64000000 pixels"), "{message}");
    }
}

/// Lengths near 2^64 and of a gigabyte in each field of the headers of a shard and of the table.
#[test]
fn a_pack_that_claims_more_than_there_is_costs_no_memory() {
    let setting = Setting::new();
    setting.pack("warm");
    setting.pack("out");
    for file in ["out/pack.h5", "out/shard-00001.h5"] {
        let path = setting.path(file);
        let whole = fs::read(&path).unwrap();
        // The length of the file; of a shard also where its images begin and how many bytes they have.
        let places: &[usize] = if file.ends_with("pack.h5") { &[24, 40] } else { &[24, 32, 40] };
        for &at in places {
            for claim in [u64::MAX, 1 << 63, 1 << 30] {
                let mut bytes = whole.clone();
                bytes[at..at + 8].copy_from_slice(&claim.to_le_bytes());
                let own = crc32c::crc32c(&bytes[..4092]);
                bytes[4092..4096].copy_from_slice(&own.to_le_bytes());
                fs::write(&path, bytes).unwrap();
                let (peak, message) = measure("pack", &setting.path("out"));
                assert!(message.contains(file.rsplit('/').next().unwrap()), "{file}, {at}: {message}");
                assert!(peak < PACK_KB, "{file}, {claim} at {at}: {peak} KB: {message}");
            }
        }
        fs::write(&path, whole).unwrap();
    }
}

/// The part of a mapped pack that was read leaves memory again: here 189 MB.
#[test]
fn a_pack_that_is_read_does_not_stay_in_memory() {
    let setting = Setting::new();
    setting.pack("warm");
    let options = PackWriterOptions { size: 1024, storage: Storage::Raw, ..PackWriterOptions::default() };
    let mut writer = PackWriter::create(setting.path("large"), ["one"], options).unwrap();
    for number in 0..60 {
        let image = Image::new(1024, 1024, vec![number; 3 << 20]).unwrap();
        writer.push(format!("{number}.png"), ImageContent::Pixels(image), 0).unwrap();
    }
    writer.finish().unwrap();
    let (peak, message) = measure("images", &setting.path("large"));
    assert_eq!(message, "none");
    // Several threads read while one releases.
    let limit = 2 * Pack::RELEASE_BYTES / 1000 + 20_000;
    assert!((20_000..limit).contains(&peak), "{peak} KB");
}
