"""Names that mean something to whoever reads an answer without care."""

NAMES = (
    "a|b", "a=b", "it's", "''", 'a"b', "::error::gone", " ::set-output name=verdict::pass", "\t::stop-commands::x",
    "::add-matcher::m.json", "##[error]gone", "####[add-matcher]m.json", "a ##[set-output name=verdict;]pass",
    "##vso[task.setvariable variable=a]b", "a\nb", "a\r\nverdict=pass", "a\rb", "a\u2028b\u2029c\x85d\x0be\x0cf",
    "\n\nverdict=pass\nexit-code=0\n", "x\nend-0\nverdict<<end-0\npass\nend-0\n", "verdict<<EOF", "%0A",
    "%25%0D%0A%3A%3A", "a:b,c;d]e", "{}", "{profile=}", "{0}{verdict}", "${{ secrets.APIMART_API_KEY }}", "$HOSTNAME$",
    "$(touch gone)`touch gone`", "<script>alert(1)</script>", "<!-- | --> &lt;|&#124;",
    "[a](https://example.com)![b](x)", "@somebody #1 https://example.com www.example.com",
    "*a* _b_ **c** ~~d~~ `e` # f", "| --- | --- |", "\\|\\", "\\n", "a\\nAPIMART OK - b", "OK | 'x'=1;;;0", "# HELP",
    "U", " ", "\u3164", "😀🏴‍☠️", "\u202eabc\u200b\ufeff", "e\u0301\u0489", "\udcff", "\x1b[31m\x00\x07",
    "sk-" + "a1B2c3D4" * 6, "x" * 10_000, "%" * 5_000, "|'" * 500, "\n" * 500, "::" * 500, "😀" * 5_000,
)  # fmt: skip
"""Each of them in the place of a profile's name, which no file and no option would let through."""
