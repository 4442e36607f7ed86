//! A small disk of its own, to be filled up.

use std::fs::{self, File};
use std::io::Write;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use dsf::store::testing::temporary_folder;

pub struct Disk {
    pub folder: PathBuf,
}

impl Disk {
    /// `None` where this process may not mount.
    pub fn mount(size: &str) -> Option<Self> {
        let folder = temporary_folder("disk");
        fs::create_dir_all(&folder).unwrap();
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o"]);
        mount.arg(format!("size={size},mode=755")).arg("tmpfs");
        let done = mount.arg(&folder).stderr(Stdio::null()).status();
        let mounted = done.is_ok_and(|status| status.success());
        mounted.then_some(Self { folder })
    }

    /// Writes until nothing more goes onto the disk.
    pub fn fill(&self) {
        let mut ballast = File::create(self.folder.join("ballast")).unwrap();
        for size in [1 << 20, 4096, 1] {
            while ballast.write_all(&vec![0; size]).is_ok() {}
        }
    }

    pub fn free(&self) {
        fs::remove_file(self.folder.join("ballast")).unwrap();
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        // Lazily: the database may just be ending.
        let mut unmount = Command::new("umount");
        let _ = unmount.arg("--lazy").arg(&self.folder).status();
    }
}
