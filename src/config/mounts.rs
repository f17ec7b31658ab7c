//! Whether a file is mounted by itself: a ConfigMap by `subPath`, or one file bound into a container. Such a file can
//! never change, or only until an editor renames a new one into its place. Reads the kernel's list, and never the file.

use super::files::Reader;
use crate::problem::{Place, Problem, Problems};
use std::path::{Path, PathBuf};

/// What the kernel tells of the mounts that this process sees.
const MOUNTS: &str = "/proc/self/mountinfo";

/// Warns of every file that is a mount of its own: an edit may never arrive.
pub(super) fn warn<'a>(files: impl Iterator<Item = &'a Path>, reader: &Reader, problems: &mut Problems) {
    // Where there is no such list there is nothing to tell.
    let Ok(mounts) = std::fs::read_to_string(MOUNTS) else { return };
    for file in files.filter(|file| file.canonicalize().is_ok_and(|file| is_mount_point(&mounts, &file))) {
        let place = Place::File { path: reader.shown(file), line: 1, column: 1 };
        let message =
            "is mounted by itself (subPath, or one file bound into a container): an edit may never arrive here";
        problems.warning(Problem::new(place, "", message).hint("mount the folder that it is in"));
    }
}

/// Whether a path is a mount point, from the text of `mountinfo` (proc(5): the fifth field, with octal escapes).
fn is_mount_point(mounts: &str, path: &Path) -> bool {
    mounts.lines().filter_map(|line| line.split(' ').nth(4)).any(|point| unescaped(point) == path)
}

/// `\040` is a space, `\011` a tab, `\012` a newline, `\134` a backslash.
fn unescaped(field: &str) -> PathBuf {
    let mut plain = String::with_capacity(field.len());
    let mut rest = field;
    while let Some((before, after)) = rest.split_once('\\') {
        plain.push_str(before);
        let code = after.get(..3).and_then(|digits| u8::from_str_radix(digits, 8).ok());
        match (code, after.get(3..)) {
            (Some(code), Some(tail)) => {
                plain.push(char::from(code));
                rest = tail;
            }
            _ => {
                plain.push('\\');
                rest = after;
            }
        }
    }
    plain.push_str(rest);
    plain.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As a pod sees it: the folder of one ConfigMap, and one file of another by `subPath`.
    const POD: &str = r"1043 1036 0:299 / /proc rw,nosuid,nodev,noexec,relatime - proc proc rw
1046 1036 259:1 /var/lib/kubelet/pods/0b/volumes/kubernetes.io~configmap/config /etc/monolith ro,relatime - xfs /dev/nvme0n1p1 rw
1047 1036 259:1 /var/lib/kubelet/pods/0b/volume-subpaths/config/server/0 /etc/alone/monolith.toml ro,relatime - xfs /dev/nvme0n1p1 rw
1048 1036 259:1 /x /etc/with\040space/m\134n.toml ro,relatime shared:1 - xfs /dev/nvme0n1p1 rw
";

    #[test]
    fn a_file_mounted_by_sub_path_is_told_from_one_in_a_mounted_folder() {
        for (path, alone) in [
            ("/etc/monolith/monolith.toml", false),
            ("/etc/monolith", true),
            ("/etc/alone/monolith.toml", true),
            ("/etc/alone", false),
            (r"/etc/with space/m\n.toml", true),
            ("/nowhere", false),
        ] {
            assert_eq!(is_mount_point(POD, Path::new(path)), alone, "{path}");
        }
    }

    #[test]
    fn a_list_that_is_no_list_says_nothing() {
        for text in ["", "\n\n", "a b c d", r"1 2 3 / \9 x", r"1 2 3 / \ x", r"1 2 3 / a\04é x"] {
            assert!(!is_mount_point(text, Path::new("/etc/monolith.toml")), "{text:?}");
        }
    }
}
