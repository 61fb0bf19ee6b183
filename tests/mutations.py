"""The seeded mistakes of ``mutants.py``: what is changed where."""

from __future__ import annotations

from dataclasses import dataclass

RUN, HITS, OPEN, CORE, PLAIN, VALUES, DEPTHWISE, LANES, BYTES, INPUT = (
    f"usermod/ebnn/engine/ebnn_{name}"
    for name in (
        "run.c",
        "hits.c",
        "open.c",
        "core.h",
        "plain.c",
        "values.c",
        "depthwise.c",
        "lanes.c",
        "bytes.c",
        "input.c",
    )
)
SIM, FOLD, FORMAT, RECORD, BLOCKS, RULES, BITS, PLAN, GEOMETRY, PREPARE, CALIBRATE = (
    f"host/ebnn/{name}.py"
    for name in (
        *("sim", "fold", "format", "record", "blocks", "rules", "bits", "plan", "geometry", "prepare", "calibrate"),
    )
)


@dataclass(frozen=True)
class Mutation:
    """A mistake: in ``file`` the text ``old``, which stands there once, becomes ``new``."""

    name: str
    file: str
    old: str
    new: str

    @property
    def language(self) -> str:
        """Which half of the check has to notice it."""
        return "python" if self.file.endswith(".py") else "c"


ENGINE = (
    Mutation("hit on > instead of >=", PLAIN, "sums[i] >= threshold", "sums[i] > threshold"),
    Mutation(
        "unused bits counted as taps", PLAIN, "return (int32_t)node->taps;", "return (int32_t)(32 * node->row_words);"
    ),
    Mutation(
        "border +1 ignored for bits",
        PLAIN,
        "EBNN_FLAG_BORDER_PLUS ? run->in->channels : 0",
        "EBNN_FLAG_BORDER_PLUS ? 0 : 0",
    ),
    Mutation(
        "border +1 sets unused channels",
        PLAIN,
        "EBNN_FLAG_BORDER_PLUS ? run->in->channels : 0",
        "EBNN_FLAG_BORDER_PLUS ? run->in_stride : 0",
    ),
    Mutation("border of bytes is 1", PLAIN, "EBNN_FLAG_BORDER_PLUS ? 255 : 0", "EBNN_FLAG_BORDER_PLUS ? 1 : 0"),
    Mutation(
        "kernel one column short",
        PLAIN,
        "width - x < kernel ? width - x : kernel",
        "width - x <= kernel ? width - x - 1 : kernel",
    ),
    Mutation("no border above", PLAIN, "kernel * stride && origin->y >= 0 &&", "kernel * stride &&"),
    Mutation("a row of a patch from the row above", PLAIN, "rows--, start += pitch", "rows--, start += 0"),
    Mutation("bits of a patch lost at the end of a word", PLAIN, "at == 0 ? 0 : bits >> (32 - at)", "0"),
    Mutation("sum of bytes counts all as +1", PLAIN, "2 * plus - all", "plus"),
    Mutation("last byte of a row skipped", PLAIN, "left != 0 ? *w : 0; left != 0;", "left != 0 ? *w : 0; left > 1;"),
    Mutation(
        "twos of three words counted as ones",
        PLAIN,
        "+ 2 * count_nibbles(count_pairs(twos))",
        "+ count_nibbles(count_pairs(twos))",
    ),
    Mutation("bytes overflow after 30 words", PLAIN, "#define MOST_WORDS 30", "#define MOST_WORDS 33"),
    Mutation("too little scratch", PLAIN, "scratch < plain_scratch(node, in)", "scratch + 4 < plain_scratch(node, in)"),
    Mutation("stride of the other axis", CORE, "cursor->x * kernel->stride_w", "cursor->x * kernel->stride_h"),
    Mutation(
        "stride of the other axis at the next position",
        CORE,
        "origin->x += run->node->kernel.stride_w",
        "origin->x += run->node->kernel.stride_h",
    ),
    Mutation(
        "stride of the other axis at the next row",
        CORE,
        "origin->y += run->node->kernel.stride_h",
        "origin->y += run->node->kernel.stride_w",
    ),
    Mutation("padding of the other side", CORE, "- kernel->left", "- kernel->right"),
    Mutation("padding of the other end", CORE, "- kernel->top", "- kernel->bottom"),
    Mutation(
        "padding of the other side at the next row",
        CORE,
        "-(int32_t)run->node->kernel.left",
        "-(int32_t)run->node->kernel.right",
    ),
    Mutation("wide parameters read as narrow", CORE, "if (node->flags & EBNN_FLAG_WIDE)", "if (0)"),
    Mutation(
        "narrow parameters without a sign", CORE, "return (int16_t)ebnn_swap_half(", "return (int32_t)ebnn_swap_half("
    ),
    Mutation("pixel stride not rounded up", CORE, "(channels + 31) / 32 * 32", "channels"),
    Mutation("pixels of narrow maps not masked", CORE, "return bits & UINT32_MAX >> (32 - count);", "return bits;"),
    Mutation("windows reach as far as their strides", CORE, "(out - 1) * stride + window - pad", "out * stride - pad"),
    Mutation(
        "window one position too long",
        HITS,
        "cursor->first * stride + pool->height <= y",
        "cursor->first * stride + pool->height < y",
    ),
    Mutation("window one position late", HITS, "(cursor->last + 1) * stride <= y", "(cursor->last + 1) * stride < y"),
    Mutation(
        "pool padding of the other end", HITS, "(int32_t)cursor->y + pool->top", "(int32_t)cursor->y + pool->bottom"
    ),
    Mutation("pool padding of the other side", HITS, "left = -(int32_t)pool->left", "left = -(int32_t)pool->right"),
    Mutation("pool stride of the other axis", HITS, "left += pool->stride_w", "left += pool->stride_h"),
    Mutation("rows of a pool in steps of columns", HITS, "stride = pool->stride_h;", "stride = pool->stride_w;"),
    Mutation("last column of a window missing", HITS, "from < to; from++", "from + 1 < to; from++"),
    Mutation("windows that overlap add up", HITS, "pool->height > pool->stride_h", "0"),
    Mutation("a window is pooled a row late", HITS, "(int32_t)cursor->y >= behind", "(int32_t)cursor->y > behind"),
    Mutation(
        "rows between windows count for the next one", HITS, "behind = cursor->last *", "behind = cursor->first *"
    ),
    Mutation("the end of a window without its padding", HITS, "pool->height - pool->top;", "pool->height;"),
    Mutation("a window cut short is not pooled", HITS, "cursor->y == run->rows) {", "0) {"),
    Mutation("a row's hits stay for the next one", HITS, "            clear_row(run, channel);", "            ;"),
    Mutation("a row is cleared in all channels", HITS, "step = (run->out_stride + 31) / 32", "step = 1"),
    Mutation("a row is cleared in the first channels", HITS, "i = channel / 32; i < words", "i = 0; i < words"),
    Mutation("a row starts in its second tile", HITS, "place = run->pools ? channel : place", "place = place"),
    Mutation("the next 32 filters start behind", HITS, "                *cursor = start;", "                ;"),
    Mutation("the row is not clean at first", HITS, "memset(run->row, 0, ebnn_row_bytes(run->node))", "(void)run"),
    Mutation(
        "the output is not cleared to the end of a row",
        HITS,
        "(bits + 31) / 32 * 4; run->clean",
        "bits / 32 * 4; run->clean",
    ),
    Mutation(
        "a row of the output is cleared too late",
        HITS,
        "(uint32_t)(row + 1) * run->node->output.width",
        "(uint32_t)row * run->node->output.width",
    ),
    Mutation(
        "the whole output is cleared over its input",
        HITS,
        "(uint32_t)(row + 1) * run->node->output.width",
        "run->node->output.height * run->node->output.width",
    ),
    Mutation(
        "the output is cleared anew in every row",
        HITS,
        "run->clean < end; run->clean += 4",
        "run->clean < end; run->clean = end",
    ),
    Mutation("a tile behind the last position", HITS, "count = left < tile ? left : tile", "count = tile"),
    Mutation("pool of the first 32 channels only", HITS, "c < run->in->channels; c += 32", "c < 32; c += 32"),
    Mutation(
        "flip before the pool",
        HITS,
        "ebnn_put(run->row, place, stride, *hits, 0)",
        "ebnn_put(run->row, place, stride, "
        "run->node->flips ? ~*hits & UINT32_MAX >> (32 - ebnn_block(run->node->filters, channel)) : *hits, 0)",
    ),
    Mutation(
        "flips of the first 32 channels only", RUN, "ebnn_bits(flips, c, ebnn_block(", "ebnn_bits(flips, 0, ebnn_block("
    ),
    Mutation("last of equal scores", RUN, "if (score > most)", "if (score >= most)"),
    Mutation("self-test by another generator", RUN, "x ^= x >> 17;", "x ^= x >> 16;"),
    Mutation("fed rows drop out of the window too late", RUN, "place >= net->window_rows", "place > net->window_rows"),
    Mutation(
        "the window of fed rows stands still", RUN, "memmove(window, window + pitch, place * pitch)", "(void)pitch"
    ),
    Mutation(
        "fed rows lie one row off", RUN, "0 : feed->rows - net->window_rows", "0 : feed->rows - net->window_rows + 1"
    ),
    Mutation("rows of the window without a gap", RUN, "run.pitch = 8 * pitch;", ";"),
    Mutation("a row is made before it is fed", RUN, "under.count <= seen", "under.count <= seen + 1"),
    Mutation("a row is made a row late", RUN, "under.count <= seen", "under.count < seen"),
    Mutation("fed rows with the padding of the other end", OPEN, "above = kernel->top", "above = kernel->bottom"),
    Mutation(
        "fed rows in steps of columns", OPEN, "stride = kernel->stride_h, above", "stride = kernel->stride_w, above"
    ),
    Mutation("fed rows of a pool's first row", OPEN, "rows.count += (pool->height - 1U) * stride;", ";"),
    Mutation("fed rows in the steps of the map", OPEN, "rows.step *= pool->stride_h;", ";"),
    Mutation("fed rows without the pool's padding", OPEN, "rows.above += pool->top * stride;", ";"),
    Mutation("no rows below the last fed one", RUN, "feed->rows == net->input.height || until", "0 || until"),
    Mutation("a fed map begins anew in every row", RUN, "if (feed->rows == 1) {", "if (1) {"),
    Mutation("a fed map never begins anew", RUN, "if (feed->rows == 1) {", "if (0) {"),
    Mutation(
        "rows of the output swapped between fed rows",
        RUN,
        "(int32_t)feed->place[2], (int32_t)feed->place[3]",
        "(int32_t)feed->place[3], (int32_t)feed->place[2]",
    ),
    Mutation(
        "the output is forgotten between fed rows", RUN, "run.clean = run.out + feed->place[4]", "run.clean = run.out"
    ),
    Mutation(
        "fed rows of bits begin with a byte",
        RUN,
        "place = feed->rows * bits;",
        "place = feed->rows * 8 * net->row_size;",
    ),
    Mutation("fed rows of bits over the ones before", RUN, "if (feed->rows == 0) {", "if (0) {"),
    Mutation("fed bytes without their order", RUN, "window + feed->rows * net->row_size, row", "window, row"),
    Mutation("a stopped input goes on", RUN, "rc != EBNN_OK || missing == 0 ? 0", "missing == 0 ? 0"),
    Mutation("a whole input does not end", RUN, "rc != EBNN_OK || missing == 0 ? 0", "rc != EBNN_OK ? 0"),
    Mutation(
        "window of the kernel although others read the input",
        OPEN,
        "rows = net->nodes[i].from == 0 ? in->height : rows",
        "rows = rows",
    ),
    Mutation(
        "window one row short",
        OPEN,
        "rows < in->height ? rows : in->height",
        "rows < in->height ? rows - 1 : in->height",
    ),
    Mutation("a row of bits cut to whole bytes", OPEN, "net->row_size = (bits + 7) / 8", "net->row_size = bits / 8"),
    Mutation("checksum misses the end", OPEN, "p + 16, size - 16", "p + 16, size - 20"),
    Mutation("padding as large as the kernel", OPEN, "w->top < w->height", "w->top <= w->height"),
    Mutation("map above 65535", OPEN, "(count > UINT16_MAX ? 0 : count)", "count"),
    Mutation("arena off by one", OPEN, "start <= net->arena_size - length", "start <= net->arena_size - length + 4"),
    Mutation(
        "parameters may end behind the file",
        OPEN,
        "weights + numbers + gains + flips > blob->size - start",
        "weights + numbers + gains > blob->size - start",
    ),
    Mutation("integers that overflow", OPEN, "more - offset) / gain", "more - offset + 1U) / gain"),
    Mutation("label one byte behind the file", OPEN, "bytes[place] > size - place - 1", "bytes[place] > size - place"),
    Mutation("newer minor accepted", OPEN, "p[5] > EBNN_FORMAT_MINOR", "p[5] > EBNN_FORMAT_MINOR + 1"),
    Mutation("older major accepted", OPEN, "p[4] != EBNN_FORMAT_MAJOR", "p[4] > EBNN_FORMAT_MAJOR"),
)

# What a model may say of sources, pools and endings.
ATTRIBUTES = (
    Mutation("second input from later", OPEN, "node->from > index || node->second > index", "node->from > index"),
    Mutation("second input of bits", OPEN, "if (second->dtype == EBNN_DTYPE_BITS)", "if (0)"),
    Mutation("second input of another height", OPEN, "second->height != out->height || ", ""),
    Mutation("second input of another width", OPEN, "second->width != out->width", "0"),
    Mutation("second input of more channels", OPEN, "second->channels > out->channels", "0"),
    Mutation("second input of thresholds", OPEN, "out->dtype == EBNN_DTYPE_BITS || second->height", "second->height"),
    Mutation("second input beyond the bound", OPEN, "second == NULL ? 0 : largest(second->dtype)", "0"),
    Mutation("scores of bytes", OPEN, "out->dtype >= EBNN_DTYPE_I8", "out->dtype >= EBNN_DTYPE_U8"),
    Mutation("scores of many positions", OPEN, "out->height == 1 && out->width == 1", "1"),
    Mutation("filters that leave channels out", OPEN, "filters % in->channels != 0", "0"),
    Mutation("a pool by OR of more filters", OPEN, "last * filters != in->channels", "0"),
    Mutation("shift of 32", OPEN, "last > EBNN_MAX_SHIFT", "last > EBNN_MAX_SHIFT + 1"),
    Mutation("levels of more than 65535 channels", OPEN, "channels == 0 || channels > UINT16_MAX", "channels == 0"),
    Mutation("flags without a meaning", OPEN, "(node->flags & ~allowed) == 0 && ", ""),
    Mutation("a border of two kinds", OPEN, "node->flags & EBNN_FLAG_BORDER_NONE ? 0 : EBNN_FLAG", "0 ? 0 : EBNN_FLAG"),
    Mutation("parameters of an OR", OPEN, "(!is_or || get32(record + 32) == 0)", "1"),
    Mutation("int8 weights of 127", OPEN, "EBNN_FLAG_INT8_WEIGHTS ? 128U : 1U", "EBNN_FLAG_INT8_WEIGHTS ? 127U : 1U"),
    Mutation("a window adds up to no more", OPEN, "(uint32_t)node->pool.height * node->pool.width : 1", "1 : 1"),
    Mutation("gains below 0 beyond the bound", OPEN, "magnitude((int16_t)get16(gains", "(uint32_t)(get16(gains"),
    Mutation(
        "rows of int8 weights cut to whole words", OPEN, "node->taps / 4 + (node->taps % 4 != 0)", "node->taps / 4"
    ),
    Mutation("gains take no room", OPEN, "weights + numbers + gains + flips >", "weights + numbers + flips >"),
    Mutation("places of 23 bits", OPEN, "get32(record + 24) & 0xffffffUL", "get32(record + 24) & 0x7fffffUL"),
    Mutation("hits of several levels on the fast path", CORE, "&& node->levels == 1\n", "\n"),
    Mutation("a mismatch costs 1", CORE, "taps == 0 ? 1 : -2", "taps == 0 ? 1 : -1"),
    Mutation("self-test of other halves", RUN, "(int16_t)(x >> 16)", "(int16_t)(x >> 15)"),
    Mutation("no border above a mask", PLAIN, "== kernel && origin->y >= 0 &&", "== kernel &&"),
    Mutation(
        "rows above the input count",
        PLAIN,
        "in->height ? taps.first : taps.last;",
        "in->height ? taps.first : taps.first;",
    ),
    Mutation(
        "bits of no channel count", PLAIN, "(taps.last - first) * channels", "(taps.last - first) * run->in_stride"
    ),
    Mutation("the mask is forgotten", PLAIN, "((x[i] ^ w[i]) & mask[i])", "(x[i] ^ w[i])"),
    Mutation("the mask is forgotten with int8 weights", PLAIN, "mask & 1 ? *w : 0", "*w"),
    Mutation(
        "the mask is the patch",
        PLAIN,
        "ebnn_get(patch + bytes, place + c, stride)",
        "ebnn_get(patch, place + c, stride)",
    ),
    Mutation("bit 0 is 0 with int8 weights", PLAIN, "bits & 1 ? weight : -weight", "bits & 1 ? weight : 0"),
    Mutation("i8 without a sign, int8 weights", PLAIN, "DOT(int8_t)", "DOT(uint8_t)"),
    Mutation("i8 without a sign", PLAIN, "DEFINE_SUMS(sum_i8, int8_t)", "DEFINE_SUMS(sum_i8, uint8_t)"),
    Mutation("no room for a mask", PLAIN, "EBNN_FLAG_BORDER_NONE) ? 2 : 1", "EBNN_FLAG_BORDER_NONE) ? 1 : 1"),
    Mutation(
        "int8 weights on the fast path",
        PLAIN,
        "EBNN_FLAG_INT8_WEIGHTS | EBNN_FLAG_BORDER_NONE)",
        "EBNN_FLAG_BORDER_NONE)",
    ),
    Mutation(
        "no border on the fast path",
        PLAIN,
        "EBNN_FLAG_INT8_WEIGHTS | EBNN_FLAG_BORDER_NONE)",
        "EBNN_FLAG_INT8_WEIGHTS)",
    ),
    Mutation("an element -1 is 0", VALUES, "(bits & 1) != 0 ? 1 : -1", "(bits & 1) != 0 ? 1 : 0"),
    Mutation("elements of i8 without a sign", VALUES, "TAKE(int8_t)", "TAKE(uint8_t)"),
    Mutation(
        "padding counts", DEPTHWISE, "EBNN_FLAG_BORDER_NONE) ? 0 : is_plus", "EBNN_FLAG_BORDER_NONE) ? 1 : is_plus"
    ),
    Mutation("border of bytes is 1", DEPTHWISE, "return is_plus ? 255 : 0;", "return is_plus ? 1 : 0;"),
    Mutation(
        "weights of the first channels",
        DEPTHWISE,
        "+ (tap * run->in->channels + channels->first)",
        "+ tap * run->in->channels",
    ),
    Mutation(
        "bits of the first channels",
        DEPTHWISE,
        "weights, tap * run->in->channels + channels->first,",
        "weights, tap * run->in->channels,",
    ),
    Mutation(
        "weights of the first row",
        DEPTHWISE,
        "run->weights + 4 * node->row_words * channels->row;\n    if",
        "run->weights;\n    if",
    ),
    Mutation("weight -1 is 0", DEPTHWISE, "bits & 1 ? x[i] : -x[i]", "bits & 1 ? x[i] : 0"),
    Mutation(
        "elements of the first channels",
        DEPTHWISE,
        "start = channels->first * ebnn_element_bits(run->node->input)",
        "start = 0",
    ),
    Mutation("sums of the position before", DEPTHWISE, "memset(sums, 0, channels->count * sizeof(int32_t));", ""),
    Mutation(
        "the patch of the first position",
        VALUES,
        "(block->first == 0 || node->pool.height * node->pool.width != 1)",
        "block->first == 0 && y == block->y",
    ),
    Mutation("windows behind the map", VALUES, "end < map ? end : map", "end"),
    Mutation("windows without padding", VALUES, "start < pad ? 0 : start - pad", "start"),
    Mutation("no sum below 0", VALUES, "adds ? 0 : INT32_MIN", "0"),
    Mutation("the last sum", VALUES, "sum > totals[i] ? sum : totals[i]", "sum"),
    Mutation("the largest instead of the sum", VALUES, "adds = ebnn_has(node, EBNN_FLAG_SUM)", "adds = 0"),
    Mutation(
        "exclusive levels side by side",
        VALUES,
        "ebnn_has(node, EBNN_FLAG_EXCLUSIVE) ? 0 : node->filters",
        "node->filters",
    ),
    Mutation("levels in one place", VALUES, "ebnn_has(node, EBNN_FLAG_EXCLUSIVE) ? 0 : node->filters", "0"),
    Mutation("thresholds of the first level", VALUES, "number += node->filters", "number += 0"),
    Mutation("bits shifted in every byte", VALUES, "to++, shift = 0", "to++"),
    Mutation("second input behind its channels", VALUES, "block->first >= second->channels", "0"),
    Mutation(
        "second input with the output's channels", VALUES, "left < block->count ? left : block->count", "block->count"
    ),
    Mutation(
        "second input of another pixel",
        VALUES,
        "* second->channels + block->first",
        "* run->node->filters + block->first",
    ),
    Mutation("no clamp", VALUES, "numbers[i] < least ? least : numbers[i] > most ? most : numbers[i]", "numbers[i]"),
    Mutation("bytes up to 127", VALUES, "EBNN_DTYPE_U8 ? UINT8_MAX :", "EBNN_DTYPE_U8 ? INT8_MAX :"),
    Mutation("the least is -127", VALUES, "-most - 1", "-most"),
    Mutation("gains without a sign", PLAIN, "gain = (int16_t)ebnn_swap_half(", "gain = (int32_t)ebnn_swap_half("),
    Mutation("gains ignored", PLAIN, "t *= (uint32_t)gain;", "(void)gain;"),
    Mutation("offsets not added", PLAIN, "t + (uint32_t)ebnn_number(node, run->numbers, filter)", "t"),
    Mutation("shifts round to 0", PLAIN, "~(~n >> node->shift)", "-(-n >> node->shift)"),
    Mutation("all filters of one row", VALUES, "has_channels ? run->in->channels : node->filters", "node->filters"),
    Mutation("filters of the first row", VALUES, "            block->row++;\n", ""),
    Mutation("the output is not cleared", VALUES, "ebnn_open_row(run, (int32_t)cursor->y);", ";"),
    Mutation("counters of half the taps", DEPTHWISE, "taps != 0; taps >>= 1", "taps > 1; taps >>= 1"),
    Mutation("planes in the wrong order", DEPTHWISE, "2 * bytes + spread(", "bytes + 2 * spread("),
    Mutation("channels of a byte mixed up", DEPTHWISE, "0x00204081UL", "0x00208041UL"),
    Mutation("counters of the first channels", DEPTHWISE, "counters->planes[plane] >> i", "counters->planes[plane]"),
    Mutation("taps on no border count", DEPTHWISE, "if (is_border && is_none) {", "if (0) {"),
    Mutation(
        "weights of a row of filters left out",
        DEPTHWISE,
        "node->row_words * channels->row;\n    const uint32_t",
        "node->row_words * 0;\n    const uint32_t",
    ),
    Mutation("border +1 is -1", DEPTHWISE, "EBNN_FLAG_BORDER_PLUS ? UINT32_MAX : 0", "EBNN_FLAG_BORDER_PLUS ? 0 : 0"),
    Mutation(
        "the first channels of a tap", DEPTHWISE, "row = y * run->pitch + channels->first", "row = y * run->pitch"
    ),
)

# Where the core counts bits with an instruction.
COUNTING = (
    Mutation("the fourth filter counts one word less", PLAIN, "COUNT(2, 2), COUNT(3, 2);", "COUNT(2, 2), COUNT(3, 1);"),
    Mutation("words behind threes not counted", PLAIN, "for (; x != end; x++, w0++, w1++, w2++, w3++)", "for (; 0;)"),
    Mutation("filters behind fours not counted", PLAIN, "for (; count != 0; count--, sums++) {", "for (; 0;) {"),
    Mutation("four filters in steps of three", PLAIN, "sums += 4, w += 4 * row", "sums += 4, w += 3 * row"),
)

TILES = (
    Mutation("nothing in a nibble's upper half", LANES, "a1 += n0 >> 4 & nibbles", "a1 += n0 >> 3 & nibbles"),
    Mutation(
        "widening after 5 look-ups",
        LANES,
        "NEXT(2, bits >> 5), WIDEN();\n        FIRST(3,",
        "NEXT(2, bits >> 5);\n        NEXT(3,",
    ),
    Mutation("look-up in the neighbouring group", LANES, "NEXT(7, bits >> 25)", "NEXT(6, bits >> 25)"),
    Mutation("step of the table", LANES, "ones - c, ones - d }", "ones - c, ones - c }"),
    Mutation("pattern 0 of three bits", LANES, "(a + b + c + d)", "(a + b + c)"),
    Mutation(
        "border is all ones",
        LANES,
        "return UINT32_MAX >> (32 - ebnn_block(run->in->channels, 32 * part));",
        "return UINT32_MAX;",
    ),
    Mutation("border +1 ignored", LANES, "if (!(run->node->flags & EBNN_FLAG_BORDER_PLUS))", "if (1)"),
    Mutation("border above taken for the map", LANES, "lanes->top + ky >= 0", "1"),
    Mutation(
        "border below taken for the map",
        LANES,
        "lanes->bottom + ky < run->in->height",
        "lanes->bottom + ky <= run->in->height",
    ),
    Mutation("border on the left taken for the map", LANES, "lanes->left + kx >= 0", "1"),
    Mutation(
        "border on the right taken for the map",
        LANES,
        "lanes->right + kx < run->in->width",
        "lanes->right + kx <= run->in->width",
    ),
    Mutation(
        "the lowest position is the first",
        LANES,
        "lanes->bottom = i < lanes->count ? origin.y : lanes->bottom",
        "lanes->bottom = lanes->top",
    ),
    Mutation(
        "the leftmost position is the first",
        LANES,
        "lanes->left = origin.x < lanes->left ? origin.x : lanes->left",
        "(void)0",
    ),
    Mutation(
        "the rightmost position is the last",
        LANES,
        "lanes->right = origin.x > lanes->right ? origin.x : lanes->right",
        "lanes->right = origin.x",
    ),
    Mutation("parts of a pixel not told apart", LANES, "+ 4 * lanes->part)", "+ 0 * lanes->part)"),
    Mutation(
        "rows of a kernel never end",
        LANES,
        "++lanes->kx == run->node->kernel.width",
        "++lanes->kx == run->node->kernel.width + 1U",
    ),
    Mutation(
        "places of positions in a row only",
        LANES,
        "origin.y * (int32_t)(run->pitch / 8) + origin.x",
        "lanes->top * (int32_t)(run->pitch / 8) + origin.x",
    ),
    Mutation(
        "limit rounded up",
        LANES,
        "(taps - ebnn_threshold(lanes->run, f)) >> 1",
        "(taps - ebnn_threshold(lanes->run, f) + 1) >> 1",
    ),
    Mutation("misses one mismatch late", LANES, "0x7fff - most", "0x7ffe - most"),
    Mutation("misses one mismatch early", LANES, "0x7fff - most", "0x8000 - most"),
    Mutation("places swapped", LANES, "{ 0, 2, 1, 3, 8", "{ 0, 1, 2, 3, 8"),
    Mutation(
        "patches not in the order of the nibbles", LANES, "lanes->patches + slot * words", "lanes->patches + i * words"
    ),
    Mutation(
        "filters behind 32 read the first sums",
        LANES,
        "EBNN_LANES_TILE_BYTES / 4 + LANES_SUMS * filter",
        "EBNN_LANES_TILE_BYTES / 4",
    ),
    Mutation(
        "filters behind 16 read the first sums", LANES, "filter_hits(sums + 16 * LANES_SUMS)", "filter_hits(sums)"
    ),
    Mutation("table of the first word only", LANES, "lanes.table + i * TABLE_WORDS", "lanes.table"),
    Mutation("weights of the first chunk only", LANES, "lanes->run->weights + 4 * word", "lanes->run->weights"),
    Mutation(
        "the next filter one chunk behind",
        LANES,
        "4 * (node->row_words - words)",
        "4 * node->row_words",
    ),
    Mutation(
        "bytes overflow in long chunks", LANES, "chunk < EBNN_LANES_CHUNK_MAX ? chunk : EBNN_LANES_CHUNK_MAX", "chunk"
    ),
    Mutation("bytes leak between lanes", LANES, "bytes >> 8 & mask", "bytes >> 8"),
    Mutation(
        "more taps than lanes hold", LANES, "node->taps > EBNN_LANES_TAPS_MAX", "node->taps > EBNN_LANES_TAPS_MAX + 2"
    ),
    Mutation(
        "limits wrap",
        CORE,
        "threshold > INT16_MAX ? INT16_MAX : threshold < INT16_MIN ? INT16_MIN : threshold",
        "(int16_t)threshold",
    ),
    Mutation("groups behind the last not zero", BYTES, "table[0] = table[1] = 0;", "table[0] = table[1] = 1;"),
    Mutation("taps behind the last not zero", BYTES, "        *to = 0;", "        *to += 0;"),
    Mutation("step of the table", BYTES, "tap[2], tap[4], tap[6] }", "tap[2], tap[4], tap[4] }"),
    Mutation("steps of the other pair of positions", BYTES, "tap[3], tap[5], tap[7] }", "tap[3], tap[5], tap[6] }"),
    Mutation(
        "half of the sum rounded down for even thresholds",
        BYTES,
        "((all[0] + ones) >> 1 & mask)",
        "(all[0] >> 1 & mask)",
    ),
    Mutation("the same at the other positions", BYTES, "((all[1] + ones) >> 1 & mask)", "(all[1] >> 1 & mask)"),
    Mutation("odd thresholds taken for even ones", BYTES, "odd0 = top - ones - (", "odd0 = top - ("),
    Mutation("the same at the other positions", BYTES, "odd1 = top - ones - (", "odd1 = top - ("),
    Mutation("bits leak between lanes", BYTES, "mask = 0x7fff7fffUL", "mask = 0xffffffffUL"),
    Mutation("hits of the lower lanes only", BYTES, "h0 = h0 >> 1 | (s0 & top)", "h0 = h0 >> 1 | (s0 & 0x8000)"),
    Mutation("threshold halved towards zero", BYTES, "(threshold >> 1) * ones", "(threshold / 2) * ones"),
    Mutation("hits of the other position", BYTES, ">> (i & 1 ? 16 : 0)", ">> (i & 1 ? 0 : 16)"),
    Mutation("filters behind 16 over the first ones", BYTES, "(16 - some) << half", "(16 - some)"),
    Mutation("fewer than 16 filters not moved down", BYTES, ">> (16 - some)", ">> 0"),
    Mutation("filters behind 32 read the first sums", BYTES, "run->scratch + BYTES_SUMS * filter;", "run->scratch;"),
    Mutation("sum of the last group only", BYTES, "bytes->run->own[0] += table", "bytes->run->own[0] = table"),
    Mutation("sum of a pattern", BYTES, "own[1] += table[2 * 15 + 1]", "own[1] += table[2 * 14 + 1]"),
    Mutation(
        "rows of a kernel without a gap",
        BYTES,
        "step += (int32_t)bytes->run->pitch / 8 - (int32_t)bytes->row",
        "step += 0",
    ),
    Mutation("border of the kernel's first row only", BYTES, "bytes->ky++;", ";"),
    Mutation("border in the other half", BYTES, "(i ^ ebnn_swap_half(256) >> 8 ^ 1)", "(i ^ ebnn_swap_half(256) >> 8)"),
    Mutation("border of bytes is 1", BYTES, "EBNN_FLAG_BORDER_PLUS ? 255 : 0", "EBNN_FLAG_BORDER_PLUS ? 1 : 0"),
    Mutation("border one byte early", BYTES, "within(width - place, count)", "within(width - place - 1, count)"),
    Mutation("no border on the left", BYTES, "first = within(-place, count)", "first = within(-place, 0)"),
    Mutation("border above taken for the map", BYTES, "bytes->origin.y >= 0 && ", ""),
    Mutation("border below taken for the map", BYTES, "y + kernel->height <= run->in->height", "y < run->in->height"),
    Mutation("row above the map taken for one of it", BYTES, "columns_inside && top >= 0 &&", "columns_inside &&"),
    Mutation(
        "row below the map taken for one of it",
        BYTES,
        "bottom < bytes->run->in->height",
        "bottom <= bytes->run->in->height",
    ),
    Mutation("row of the first position for all", BYTES, "bottom = bytes->bottom +", "bottom = bytes->origin.y +"),
    Mutation("border on the left taken for the map", BYTES, "x >= 0 && x", "x"),
    Mutation(
        "border on the right taken for the map", BYTES, "x + kernel->width <= run->in->width", "x < run->in->width"
    ),
    Mutation("taps of the first channel only", BYTES, "origin.x * channels + tap", "origin.x + tap"),
    Mutation("always the lower group of a byte", BYTES, "4 * (group & 1)", "0"),
    Mutation("weights of the first byte only", BYTES, "bytes->run->weights + group / 2", "bytes->run->weights"),
    Mutation("weights of the next filter too early", BYTES, "4 * node->row_words, NULL", "4, NULL"),
    Mutation(
        "taps overwritten before they are read",
        BYTES,
        "bytes.table + (GROUP_WORDS - 4 * BYTES_SUMS) * step",
        "bytes.table",
    ),
    Mutation(
        "table for four groups where there is room for one",
        BYTES,
        "< STEP * EBNN_BYTES_GROUP_BYTES ? 1 : STEP",
        "< EBNN_BYTES_GROUP_BYTES ? 1 : STEP",
    ),
    Mutation("sums not zero at first", BYTES, "memset(bytes.sums, 0, sums)", "(void)sums"),
    Mutation("sums of the tile before", BYTES, "sums[0] = sums[1] = 0;", ";"),
    Mutation(
        "more taps than lanes hold", BYTES, "node->taps > EBNN_BYTES_TAPS_MAX", "node->taps > EBNN_BYTES_TAPS_MAX + 1"
    ),
)

HOST = (
    Mutation("hit on > instead of >=", SIM, "None, :] >= node.thresholds", "None, :] > node.thresholds"),
    Mutation("levels filter by filter", SIM, "node.thresholds.reshape(node.levels, node.filters)",
             "node.thresholds.reshape(node.filters, node.levels).T"),
    Mutation("some level's hit", SIM, "np.logical_xor.reduce", "np.logical_or.reduce"),
    Mutation("flips lost", SIM, "hits if node.flips is None else hits ^ node.flips", "hits"),
    Mutation("pool padding counts", SIM, "_padded(sums, geometry.pool_pad, nothing)",
             "_padded(sums, geometry.pool_pad, 0)"),
    Mutation("the largest instead of the sum", SIM, "(np.add, 0) if geometry.pool_sum", "(np.add, 0) if False"),
    Mutation("pool stride of the other axis", SIM, "slice(start[axis], end, stride[axis])",
             "slice(start[axis], end, stride[0])"),
    Mutation("border of bytes is 1", SIM, "255 if geometry.border > 0", "1 if geometry.border > 0"),
    Mutation("border of bits always -1", SIM, '{"bits": geometry.border,', '{"bits": -1,'),
    Mutation("stride of the other axis", SIM, ":: geometry.stride[1]]", ":: geometry.stride[0]]"),
    Mutation("padding of the other side", SIM, "(top, bottom), (left, right)", "(top, bottom), (right, left)"),
    Mutation("taps in another order", SIM, "transpose(0, 1, 2, 4, 5, 3)", "transpose(0, 1, 2, 5, 4, 3)"),
    Mutation("filters of a channel side by side", SIM, "mcij->nyxmc", "mcij->nyxcm"),
    Mutation("channels repeated side by side", SIM, "np.tile(x, node.filters // source.shape[2])",
             "np.repeat(x, node.filters // source.shape[2], -1)"),
    Mutation("bit 0 is 0", SIM, "x = 2 * x - 1", "x = 1 * x"),
    Mutation("sums in float32 where they are not exact", SIM, "else np.float64", "else np.float32"),
    Mutation("shifts round to 0", SIM, "out = t >> node.shift",
             "out = np.trunc(t / (1 << node.shift)).astype(np.int64)"),
    Mutation("gains ignored", SIM, "(1 if node.gains is None else node.gains)", "1"),
    Mutation("second input taken off", SIM, "second.shape[-1]] += second", "second.shape[-1]] -= second"),
    Mutation("clamp without the least", SIM, "limits.least, limits.most)", "-limits.most, limits.most)"),
    Mutation(
        "last of equal scores",
        SIM,
        "return int(np.argmax(self.scores(buf)))",
        "return self.network.classes - 1 - int(np.argmax(self.scores(buf)[::-1]))",
    ),
    Mutation("threshold on bytes rounded down", FOLD, "(-((-total) // 2))", "(total // 2)"),
    Mutation("threshold on bytes off by one", FOLD, "255 * weight_sums", "256 * weight_sums"),
    Mutation("negated threshold off by one", FOLD, "(1 - thresholds", "(0 - thresholds"),
    Mutation("switch one sum early", FOLD, "thresholds = low + step * above", "thresholds = low + step * below"),
    Mutation(
        "constant 0 hits at the top", FOLD, "(high - low) // step + 1, np.int64", "(high - low) // step, np.int64"
    ),
    Mutation("falling taken for rising", FOLD, "falling = first & ~last", "falling = ~first & ~last"),
    Mutation("wide parameters stored as narrow", RECORD, "bool((numbers != numbers.astype(np.int16)).any())", "False"),
    Mutation("border flag lost", RECORD, "geometry.border > 0)", "geometry.border > 1)"),
    Mutation("border counts", RECORD, "geometry.border == 0)", "geometry.border > 1)"),
    Mutation("second input lost", RECORD, "node.second or 0", "0"),
    Mutation("flags without a meaning", RECORD, "unused = self.flags & ~self._allowed(source)", "unused = 0"),
    Mutation("flips without thresholds", RECORD, "(ops.FLAG_FLIPS, is_bits and has_numbers)",
             "(ops.FLAG_FLIPS, is_bits)"),
    Mutation("a border of two kinds", RECORD, " and not self.flags & ops.FLAG_BORDER_NONE", ""),
    Mutation("parameters of an OR", RECORD, "self.params and is_or(self, source)", "0"),
    Mutation("weights of bytes in pixel strides", BLOCKS, 'bits.pack_maps(rows > 0) if source.dtype == "bits"',
             "bits.pack_maps(rows > 0) if source.dtype"),
    Mutation("columns before rows", BLOCKS, "rows.transpose(0, 2, 3, 1, 4)", "rows.transpose(0, 3, 2, 1, 4)"),
    Mutation("gains take no room", BLOCKS, "16 * layer.filters if flags", "0 * layer.filters if flags"),
    Mutation("checksum misses bytes", FORMAT, "zlib.crc32(blob[16:], ", "zlib.crc32(blob[20:], "),
    Mutation("newer minor accepted", FORMAT, "blob[5] > ops.FORMAT_MINOR", "blob[5] > ops.FORMAT_MINOR + 1"),
    Mutation("other major accepted", FORMAT, "blob[4] != ops.FORMAT_MAJOR or ", ""),
    Mutation("second input from later", FORMAT, "max(found.input, found.second) >=", "found.input >="),
    Mutation("parameters inside of the records", FORMAT, "start < self.records_end or", "start < 48 or"),
    Mutation("arena off by one", FORMAT, "start + size > self.arena_size", "start + size > self.arena_size + 4"),
    Mutation("second input of another size", RULES, "second.shape[:2] != (height, width)", "False"),
    Mutation("second input of more channels", RULES, "second.shape[2] > channels", "second.shape[2] > channels + 1"),
    Mutation("second input of bits", RULES, "second.dtype not in ops.SECOND_DTYPES", 'second.dtype == "i32"'),
    Mutation("sums of 31 bits", RULES, "if bound > ops.MAX_SUM", "if bound > 2 * ops.MAX_SUM"),
    Mutation("second input beyond the bound", RULES, "(ops.DTYPE[second.dtype].largest if second else 0)", "0"),
    Mutation("gains below 0 beyond the bound", RULES, "np.abs(gains.astype(np.int64))", "gains.astype(np.int64)"),
    Mutation("scores of a hidden node", RULES, 'layer.output == "i32" and not is_last', "False"),
    Mutation("scores of bytes", RULES, "layer.output in ops.SCORE_DTYPES and ", ""),
    Mutation("filters that leave channels out", RULES, 'layer.op in ("depthwise", "pool")', 'layer.op == "pool"'),
    Mutation("most significant bit first", BITS, 'axis=-1, bitorder="little")', 'axis=-1, bitorder="big")'),
    Mutation("unpacked from the other end", BITS, 'count=count, bitorder="little"', 'count=count, bitorder="big"'),
    Mutation("pixel stride of 24", BITS, "return -(-channels // 32) * 32", "return -(-channels // 8) * 8"),
    Mutation("value freed before its last reader", PLAN, "return max([value - 1, *readers])", "return value - 1"),
    Mutation(
        "an output too far over its input",
        PLAN,
        "_round_bits((row + 1) * out_row) - reads_from",
        "_round_bits(row * out_row) - reads_from",
    ),
    Mutation(
        "rows over the input without their last word",
        PLAN,
        "_round_bits((row + 1) * out_row) - reads_from",
        "(row + 1) * out_row // 32 * 4 - reads_from",
    ),
    Mutation(
        "rows over the input without the pool's padding",
        PLAN,
        "row * geometry.pool_stride[0] - geometry.pool_pad[0]",
        "row * geometry.pool_stride[0]",
    ),
    Mutation("rows over the input without the kernel's padding", PLAN, "first * stride - top)", "first * stride)"),
    Mutation("an output over an input that others read", PLAN, " or _last_use(network, value) != index", ""),
    Mutation(
        "an output over a second input of another dtype",
        PLAN,
        "if (output.dtype, output.shape) == (source.dtype, source.shape)",
        "if output.shape == source.shape",
    ),
    Mutation("scratch over an output", PLAN, "start = max(start, high)", "start = high if start == 0 else start"),
    Mutation("an output over the end of its input", PLAN, "other + gap <= place", "other + gap <= place + 4"),
    Mutation(
        "two outputs in one place",
        PLAN,
        "other + self.sizes[second] <= place or",
        "other + self.sizes[second] <= place + 4 or",
    ),
    Mutation("more scratch than the limit", PLAN, "c.scratch <= min(room, most)", "c.scratch <= room"),
    Mutation(
        "scratch of the row forgotten", PLAN, 'found = [Choice("bytes", fixed', 'found = [Choice("bytes", fixed - row'
    ),
    Mutation("what counts needs no room", PLAN, "2 * patch if layer.geometry.border == 0 else patch", "patch"),
    Mutation(
        "output size rounded up",
        GEOMETRY,
        "(size[0] + top + bottom - window[0]) // stride[0] + 1",
        "-(-(size[0] + top + bottom - window[0]) // stride[0]) + 1",
    ),
    Mutation("int8 weights of 1", GEOMETRY, "(INT8_MOST if layer.has_int8 else 1)", "1"),
    Mutation("a window adds up to no more", GEOMETRY, "math.prod(geometry.pool) if geometry.pool_sum", "1 if True"),
    Mutation("a row of hits for sums", GEOMETRY, '("conv", "bits", 1) and not layer.geometry.pool_sum',
             '("conv", "bits", 1)'),
)  # fmt: skip

USE = (
    Mutation("margin to the next one in order", RUN, "i != best && less < margin", "i == best + 1 && less < margin"),
    Mutation("margin of a single score", RUN, "margin = UINT32_MAX;", "margin = INT32_MAX;"),
    Mutation("margin of 31 bits", RUN, "less < margin ? less", "(int32_t)less < (int32_t)margin ? less"),
    Mutation("preparation not recorded", OPEN, "return (prepare & EBNN_PREPARE_RECORDED) &&", "return"),
    Mutation("preparation with unknown bits", OPEN, "prepare <= EBNN_PREPARE_KNOWN", "1"),
    Mutation("average and nearest", OPEN, "(prepare & both) != both", "1"),
    Mutation("preparation of two channels", OPEN, "in->channels == 1 && in->dtype", "in->dtype"),
    Mutation("bits without a threshold", OPEN, "(threshold != 0) == (in->dtype == EBNN_DTYPE_BITS)", "1"),
    Mutation("threshold without a preparation", OPEN, "return threshold == 0;", "return 1;"),
    Mutation("reserved bytes behind the threshold", OPEN, "get16(p + 46) != 0", "p[46] != 0"),
    Mutation("rest of a part lost", INPUT, "edge->pixel++;", ";"),
    Mutation("rest of a part too late", INPUT, "edge->rest >= axis->parts", "edge->rest > axis->parts"),
    Mutation("first pixel counts wholly", INPUT, "from->rest == 0 ? 0", "1 ? 0"),
    Mutation("last pixel left out", INPUT, "to->rest == 0 ? sum", "1 ? sum"),
    Mutation("first line counts wholly", INPUT, "(y == top->pixel ? top->rest : 0)", "0"),
    Mutation("last line left out", INPUT, "bottom->pixel + (bottom->rest != 0)", "bottom->pixel"),
    Mutation("last line counts wholly", INPUT, "y == bottom->pixel ? bottom->rest", "0 ? bottom->rest"),
    Mutation("halves rounded down", INPUT, "right) + pixels, 2 * pixels", "right) + pixels - 1, 2 * pixels"),
    Mutation("mean not rounded", INPUT, "right) + pixels, 2 * pixels", "right), 2 * pixels"),
    Mutation("quotient of 7 bits", INPUT, "uint32_t bit = 128;", "uint32_t bit = 64;"),
    Mutation(
        "inverted first",
        INPUT,
        "2 * sum_box(&row, &left, &right) + pixels",
        "2 * sum_box(&row, &left, &right) + (picture->prepare & EBNN_PREPARE_INVERT ? pixels - 1 : pixels)",
    ),
    Mutation("never inverted", INPUT, "picture->prepare & EBNN_PREPARE_INVERT ?", "0 ?"),
    Mutation("above the threshold", INPUT, "gray >= picture->threshold", "gray > picture->threshold"),
    Mutation("bits from the other end", INPUT, "1U << place % 8", "128U >> place % 8"),
    Mutation("nearest to the left", INPUT, "middle = edge_at(1, picture", "middle = edge_at(0, picture"),
    Mutation("nearest to the top", INPUT, "edge_at(2 * y + 1,", "edge_at(2 * y,"),
    Mutation("crop from the left edge", INPUT, "across.start + middle.pixel", "middle.pixel"),
    Mutation("crop from the upper edge", INPUT, "picture->crop_y + middle.pixel", "middle.pixel"),
    Mutation(
        "average from the left edge",
        INPUT,
        "= axis->start + from->pixel, end = axis->start + to",
        "= from->pixel, end = to",
    ),
    Mutation("average from the upper edge", INPUT, "row->picture->crop_y + y", "y"),
    Mutation("pages of 8 lines", INPUT, "is_page ? y / 8 : y", "y"),
    Mutation("lines of a page upside down", INPUT, "p[x] >> line->bit", "p[x] >> (7 - line->bit)"),
    Mutation("HLSB as HMSB", INPUT, "== EBNN_PIXELS_MONO_HLSB ? 7 : 0", "== EBNN_PIXELS_MONO_HLSB ? 0 : 7"),
    Mutation("five bits of green", INPUT, "(high & 7) << 3", "(high & 3) << 3"),
    Mutation("weights of red and blue", INPUT, "(630 * (high >> 3)", "(240 * (high >> 3)"),
    Mutation("RGB not rounded", INPUT, "(low & 31) + 128)", "(low & 31))"),
    Mutation("bytes not swapped", INPUT, "gray_of_rgb(p[2 * x + 1], p[2 * x])", "gray_of_rgb(p[2 * x], p[2 * x + 1])"),
    Mutation("stride ignored", INPUT, "picture->stride == 0 ? picture->width", "1 ? picture->width"),
    Mutation("stride below the width", INPUT, " || stride < picture->width", ""),
    Mutation(
        "lines of bits not whole bytes", INPUT, "picture->pitch = (stride + 7) / 8", "picture->pitch = stride / 8"
    ),
    Mutation("a frame one line long", INPUT, "picture->height - 1, last", "picture->height, last"),
    Mutation("a frame's last line whole", INPUT, "last = picture->width;", "last = stride;"),
    Mutation(
        "crop one pixel too wide",
        INPUT,
        "picture->crop_w <= picture->width - picture->crop_x",
        "picture->crop_w <= picture->width - picture->crop_x + 1",
    ),
    Mutation(
        "crop one pixel too high",
        INPUT,
        "picture->crop_h <= picture->height - picture->crop_y",
        "picture->crop_h <= picture->height - picture->crop_y + 1",
    ),
    Mutation("crop beside of the frame", INPUT, "picture->crop_x < picture->width", "1"),
    Mutation("crop below the frame", INPUT, "picture->crop_y < picture->height", "1"),
    Mutation("wider than the crop", INPUT, "picture->crop_w >= picture->out_w", "1"),
    Mutation("higher than the crop", INPUT, "picture->crop_h >= picture->out_h", "1"),
    Mutation("crop of more pixels", INPUT, "<= EBNN_MAX_CROP", "<= 2 * EBNN_MAX_CROP"),
    Mutation("nothing resized, but smaller", INPUT, "resizes || is_same_size(picture)", "1"),
    Mutation("a row of bits is not cleared", INPUT, "picture->out_w : (picture->out_w + 7U) / 8", "picture->out_w : 0"),
    Mutation("bits are not cleared to the word", INPUT, "(pixels + 31) / 32 * 4", "(pixels + 7) / 8"),
    Mutation(
        "margin of the lowest scores",
        SIM,
        "np.partition(scores.astype(np.int64), -2)",
        "-np.partition(scores.astype(np.int64), 1)[..., ::-1]",
    ),
    Mutation("margin in 32 bits", SIM, "np.partition(scores.astype(np.int64), -2)", "np.partition(scores, -2)"),
    Mutation("reserved bytes behind the threshold", FORMAT, "if reserved != 0:", "if reserved > 255:"),
    Mutation("margin not written", FORMAT, "*(use.margin, *prepare, 0)", "*(0, *prepare, 0)"),
    Mutation("preparation of two channels", PREPARE, "if channels != 1:", "if channels > 2:"),
    Mutation("preparation with unknown bits", PREPARE, "or code & ~ops.PREPARE_KNOWN or", "or"),
    Mutation("preparation not recorded", PREPARE, "if not code & ops.PREPARE_RECORDED or", "if"),
    Mutation(
        "halves rounded down", PREPARE, "(2 * sums + pixels) // (2 * pixels)", "(2 * sums + pixels - 1) // (2 * pixels)"
    ),
    Mutation("above the threshold", PREPARE, "small >= preparation.threshold", "small > preparation.threshold"),
    Mutation("nearest to the left", PREPARE, "(2 * np.arange(parts) + 1)", "(2 * np.arange(parts))"),
    Mutation("equal margins told apart", CALIBRATE, "good = is_last &", "good ="),
    Mutation("equal scores are sure", CALIBRATE, "(found >= 1) &", ""),
    Mutation("largest margin", CALIBRATE, "found[good].min()", "found[good].max()"),
    Mutation("sure above the margin", CALIBRATE, "margins(scores) >= margin", "margins(scores) > margin"),
)

MUTATIONS = ENGINE + ATTRIBUTES + COUNTING + TILES + HOST + USE
