"""What a built library says of itself, read without the tools of its system:
binary.Library(path) tells format, processor, exports, what it imports and
needs, of ELF, PE and Mach-O files of 64 bits.
"""

import re
import struct
from pathlib import Path


class Library:
    def __init__(self, path):
        self.path = Path(path)
        self.data = self.path.read_bytes()
        self.exports, self.imports, self.needed = set(), set(), set()
        # Lowest version of the system: glibc, macOS or Windows.
        self.minimum = None
        if self.data[:4] == b"\x7fELF":
            self._elf()
        elif self.data[:2] == b"MZ":
            self._pe()
        elif self.data[:4] == b"\xcf\xfa\xed\xfe":
            self._macho()
        else:
            raise ValueError(f"{path} is no ELF, PE or Mach-O file of 64 bits")

    @property
    def platform(self):
        """Its name here: linux-x86_64, linux-musl-arm64, windows-x86_64, darwin-arm64 ..."""
        system = f"linux{'-musl' if self.is_musl else ''}" if self.format == "elf" else {"pe": "windows", "macho": "darwin"}[self.format]
        return f"{system}-{self.machine}"

    @property
    def is_musl(self):
        return self.format == "elf" and "libc.so.6" not in self.needed

    def _at(self, layout, offset):
        return struct.unpack_from("<" + layout, self.data, offset)

    def _text(self, offset):
        return self.data[offset:self.data.index(b"\0", offset)].decode("latin-1")

    def _elf(self):
        self.format = "elf"
        self.machine = {62: "x86_64", 183: "arm64"}[self._at("H", 18)[0]]
        (start,) = self._at("Q", 40)
        size, count = self._at("HH", 58)
        # name, type, flags, address, offset, size, link, info, align, entry
        sections = [self._at("IIQQQQIIQQ", start + number * size) for number in range(count)]
        by_type = {section[1]: section for section in sections}
        dynamic, symbols = by_type[6], by_type[11]
        names = sections[dynamic[6]][4]
        for at in range(dynamic[4], dynamic[4] + dynamic[5], 16):
            tag, value = self._at("QQ", at)
            if tag == 1:  # DT_NEEDED
                self.needed.add(self._text(names + value))
        versions = self._elf_versions(by_type.get(0x6FFFFFFE), sections)
        marks = by_type.get(0x6FFFFFFF)
        wanted = []
        names = sections[symbols[6]][4]
        for number in range(1, symbols[5] // 24):
            name, kind, _, section = self._at("IBBH", symbols[4] + number * 24)
            binding = kind >> 4
            if section and binding:
                self.exports.add(self._text(names + name))
            elif not section:
                self.imports.add(self._text(names + name))
                # A weak symbol may be missing; Rust's library asks for newer ones so.
                if binding == 1 and marks:
                    wanted.append(versions.get(self._at("H", marks[4] + number * 2)[0] & 0x7FFF, ""))
        found = [tuple(map(int, version[6:].split("."))) for version in wanted if re.fullmatch(r"GLIBC_[\d.]+", version)]
        self.minimum = max(found)[:2] if found else None

    def _elf_versions(self, needs, sections):
        """Number of a version -> its name, of the libraries that are needed."""
        versions = {}
        if needs is None:
            return versions
        names, at = sections[needs[6]][4], needs[4]
        while True:
            _, count, _, first, following = self._at("HHIII", at)
            entry = at + first
            for _ in range(count):
                _, _, number, name, next_entry = self._at("IHHII", entry)
                versions[number] = self._text(names + name)
                entry += next_entry
            if not following:
                return versions
            at += following

    def _pe(self):
        self.format = "pe"
        (header,) = self._at("I", 60)
        machine, sections = self._at("HH", header + 4)
        self.machine = {0x8664: "x86_64", 0xAA64: "arm64"}[machine]
        (size,) = self._at("H", header + 20)
        optional = header + 24
        self.minimum = self._at("HH", optional + 48)
        table = [self._at("8sIIII", optional + size + number * 40) for number in range(sections)]

        def place(address):
            for _, length, start, raw, offset in table:
                if start <= address < start + max(length, raw):
                    return offset + address - start
            raise ValueError("an address outside of all sections")

        (exports,), (imports,) = self._at("I", optional + 112), self._at("I", optional + 120)
        at = place(exports)
        (count,), (names,) = self._at("I", at + 24), self._at("I", at + 32)
        for number in range(count):
            self.exports.add(self._text(place(self._at("I", place(names) + number * 4)[0])))
        at = place(imports)
        while name := self._at("I", at + 12)[0]:
            self.needed.add(self._text(place(name)))
            entry = place(self._at("I", at)[0] or self._at("I", at + 16)[0])
            while value := self._at("Q", entry)[0]:
                if not value >> 63:
                    self.imports.add(self._text(place(value) + 2))
                entry += 8
            at += 20

    def _macho(self):
        self.format = "macho"
        self.machine = {0x01000007: "x86_64", 0x0100000C: "arm64"}[self._at("I", 4)[0]]
        (count,), at = self._at("I", 16), 32
        for _ in range(count):
            command, size = self._at("II", at)
            if command == 2:  # LC_SYMTAB
                self._macho_symbols(*self._at("IIII", at + 8))
            elif command == 0x0C:  # LC_LOAD_DYLIB
                self.needed.add(self._text(at + self._at("I", at + 8)[0]))
            elif command in (0x32, 0x24):  # LC_BUILD_VERSION, LC_VERSION_MIN_MACOSX
                (version,) = self._at("I", at + (12 if command == 0x32 else 8))
                self.minimum = (version >> 16, version >> 8 & 0xFF)
            at += size

    def _macho_symbols(self, start, count, names, _):
        for number in range(count):
            name, kind, _, _, _ = self._at("IBBHQ", start + number * 16)
            is_external, is_debug, is_private = kind & 1, kind & 0xE0, kind & 0x10
            if is_external and not is_debug and not is_private:
                text = self._text(names + name).removeprefix("_")
                (self.exports if kind & 0x0E else self.imports).add(text)
