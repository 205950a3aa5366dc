import Foundation
import InstanceAPI
import Testing

struct HotBlocksTests {
    private func chunk(_ mask: UInt32, number: UInt32 = 0) -> HotBlocks.Chunk {
        .init(tablespace: 1663, database: 5, file: 16384, fork: 0, number: number, mask: mask)
    }

    @Test("Neighbours are read in one, and so are those with a short gap between them")
    func ranges() {
        #expect(self.chunk(0).ranges() == [])
        #expect(self.chunk(0b1).ranges() == [0..<8192])
        #expect(self.chunk(0b111).ranges() == [0..<24576])
        #expect(self.chunk(0b10_0001).ranges() == [0..<49152])
        #expect(self.chunk(0b100_0001).ranges() == [0..<8192, 49152..<57344])
        #expect(self.chunk(.max, number: 2).ranges() == [524288..<786432])
        #expect(self.chunk(1 << 31, number: .max).ranges().first?.upperBound == Int64(1) << 50)
    }

    @Test("They travel as lists of numbers, and wrong ones are refused")
    func travels() throws {
        let blocks = HotBlocks(chunks: [self.chunk(0b101, number: 7)])
        let data = try JSONEncoder().encode(blocks)
        #expect(String(decoding: data, as: UTF8.self) == #"{"chunks":[[1663,5,16384,0,7,5]]}"#)
        #expect(try JSONDecoder().decode(HotBlocks.self, from: data) == blocks)
        for wrong in ["[[-1,5,16384,0,7,5]]", "[[1663,5,16384,300,7,5]]", "[[1663,5]]", "[[1663,5,4294967296,0,7,5]]"] {
            let text = Data(#"{"chunks":\#(wrong)}"#.utf8)
            #expect(throws: DecodingError.self) { try JSONDecoder().decode(HotBlocks.self, from: text) }
        }
    }
}
