//! Decodes image files: `decode [--out FOLDER] FILE...` prints a line for each file, with fields separated by tabs:
//! `PATH ok WIDTH HEIGHT PIXELS` or `PATH error REASON`. PIXELS is the CRC-32 (zlib's) of the RGB bytes, or with
//! `--out` the file `FOLDER/N.rgb` that holds them, N from 0. With `-` in place of files, their paths are read from
//! standard input, one per line. The scripts that compare with other programs use it.

use std::io::{BufRead, Write};
use std::path::{Path, PathBuf};

use data::{DecodeOptions, read_image};

fn crc32(bytes: &[u8]) -> u32 {
    let mut table = [0u32; 256];
    for (value, entry) in (0u32..).zip(&mut table) {
        *entry = (0..8).fold(value, |crc, _| (crc >> 1) ^ (0xedb8_8320 * (crc & 1)));
    }
    !bytes.iter().fold(!0, |crc, &byte| table[usize::from(crc as u8 ^ byte)] ^ (crc >> 8))
}

fn line(index: usize, path: &Path, out: Option<&Path>) -> std::io::Result<String> {
    let name = path.display();
    Ok(match read_image(path, &DecodeOptions::default()) {
        Ok(image) => {
            let pixels = match out {
                None => format!("{:08x}", crc32(image.pixels())),
                Some(folder) => {
                    let file = folder.join(format!("{index}.rgb"));
                    std::fs::write(&file, image.pixels())?;
                    file.display().to_string()
                }
            };
            format!("{name}\tok\t{}\t{}\t{pixels}", image.width(), image.height())
        }
        Err(error) => {
            let text = error.to_string();
            let reason = text.strip_prefix(&format!("{name}: ")).unwrap_or(&text);
            format!("{name}\terror\t{}", reason.replace(['\n', '\r', '\t'], " "))
        }
    })
}

fn main() -> std::io::Result<()> {
    let mut args: Vec<PathBuf> = std::env::args_os().skip(1).map(PathBuf::from).collect();
    let mut out = None;
    if args.len() >= 2 && args[0].as_os_str() == "--out" {
        out = Some(args.remove(1));
        args.remove(0);
    }
    if args == [PathBuf::from("-")] {
        args = std::io::stdin().lock().lines().map(|line| line.map(PathBuf::from)).collect::<Result<_, _>>()?;
    }
    let mut stdout = std::io::stdout().lock();
    for (index, path) in args.iter().enumerate() {
        writeln!(stdout, "{}", line(index, path, out.as_deref())?)?;
    }
    Ok(())
}
