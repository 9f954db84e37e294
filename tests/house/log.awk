# log.awk log.md tests/README.md README.md - whether the page quotes the figures of the log: how often the small BERTs and
# the assistant are right, and the minutes that training took; and how much faster a prompt was measured to be.
function expect(what) { if (index(page, what) == 0) { print "README.md: does not have: " what; wrong = 1 } }
FILENAME ~ /log\.md$/ {
    n = split($0, cell, " *[|] *")
    if (/^## /) section = $2
    if (section == "Loss" && n > 8) minutes[cell[2]] = cell[7]
    if (n == 10 && cell[3] ~ /^[0-9]+$/ && cell[7] ~ /^[01]\.[0-9]+ /) right[cell[2]] = sprintf("%.1f %%", 100 * cell[7])
    if (/^[*][*]About the long stories of the other models/ && match($0, /0\.[0-9]+ \(/)) talk = sprintf("%.1f %%", 100 * substr($0, RSTART, 5))
    next
}
FILENAME ~ /tests\/README\.md$/ {
    if (match($0, /MLP and GPT [0-9]+ to [0-9]+, RNN, GRU and LSTM [0-9.]+ to [0-9.]+/))
        split(substr($0, RSTART, RLENGTH), times, /MLP and GPT |, RNN, GRU and LSTM /)
    next
}
{ page = page " " $0 }
END {
    gsub(/ +/, " ", page)
    expect("`mood` is right in " right["mood"] " of the texts")
    expect("`kind` in " right["kind"]); expect("`grammar` in " right["grammar"])
    expect("the words of the generator in " right["answer"])
    expect(talk " of its answers are right")
    expect("the GPT took " minutes["gpt"] " minutes")
    expect("GRU and LSTM " minutes["gru"] ", the RNN " minutes["rnn"])
    expect("a prompt of 198 words " times[2] " times as fast"); expect("recurrent networks " times[3] " times")
    if (minutes["gru"] != minutes["lstm"]) { print "log.md: GRU and LSTM took different times"; wrong = 1 }
    exit wrong
}
