# log.awk log.md tests/README.md train/README.md README.md - whether the page quotes the figures of the log: how often
# the small BERTs and the assistant are right, what the amplifier misses, what a larger GPT and more reading bring, what
# training took; and how much faster a prompt was measured to be.
function expect(what) { if (index(page, what) == 0) { print "README.md: does not have: " what; wrong = 1 } }
function percent(share, digits) { return sprintf("%." digits "f", 100 * share) }

# The numbers of the page between two phrases, however the sentences around them go.
function numbers(from, to, what,   text, list) {
    text = index(page, from) ? substr(page, index(page, from)) : ""
    text = substr(text, 1, index(text, to))
    gsub(/`[^`]*`|F1/, "", text)
    while (match(text, /[0-9]+([.,][0-9]+)*/)) {
        list = list (list == "" ? "" : " ") substr(text, RSTART, RLENGTH)
        text = substr(text, RSTART + RLENGTH)
    }
    if (list != what) { print "README.md: from '" from "' to '" to "' it says " list ", and the sources " what; wrong = 1 }
}

# Whole numbers of a column of shares, smallest and largest: "96 100".
function range(row, names,   n, i, name, least, most) {
    n = split(names, name, " ")
    least = 2
    for (i = 1; i <= n; i++) {
        least = row[name[i]] < least ? row[name[i]] : least
        most = row[name[i]] > most ? row[name[i]] : most
    }
    return percent(least, 0) " " percent(most, 0)
}

FILENAME ~ /log\.md$/ {
    n = split($0, cell, " *[|] *")
    if (/^## /) section = $2 " " $3
    if (/^[*][*]/) part = $1 " " $2
    if (section == "Loss beside" && n > 8) { minutes[cell[2]] = cell[7]; parameters[cell[2]] = cell[3]; read[cell[2]] = cell[5] + 0 }
    if (n == 10 && cell[3] ~ /^[0-9]+$/ && cell[7] ~ /^[01]\.[0-9]+ /) {
        right[cell[2]] = sprintf("%.1f %%", 100 * cell[7])
        guess[cell[2]] = cell[8] ~ /\// ? int(100 / substr(cell[8], 3)) : ""
    }
    if (/^[|] (PERSON|THING|PLACE) /) f1 = f1 == "" || cell[6] < f1 ? cell[6] : f1
    if (/^0.*A guess among the places/ && match($0, / 0\.[0-9]+ of/)) places = percent(substr($0, RSTART + 1, 4), 0)
    if (table ~ /^[|] put / && /^[|]  [|] 0/) { never = percent(cell[3], 1); often = percent(cell[6], 1) }
    if (table ~ /^[|] question / && /^[|]  [|] [01]/) {
        k = split(table, head, " *[|] *")
        for (i = 3; i < k; i++) if (part ~ /About/) about[head[i]] = cell[i] + 0; else if (part ~ /Fresh/) fresh[head[i]] = cell[i] + 0
    }
    if (/^[|] [a-z]/) table = $0
    if (/^[*][*]About the long stories of the other models/ && match($0, /0\.[0-9]+ \(/)) talk = percent(substr($0, RSTART, 5), 1)
    if (section == "The amplifier") {
        for (i = 3; i < n; i++) if (cell[i] ~ / %$/) { missed[cell[2]] += cell[i] / 3 }
        if (/ parameters, as float32/) amp = $1
    }
    if (section == "Three networks" && cell[3] ~ /^[0-9]+$/) tiny[cell[2]] = cell[3]
    if (section == "Parameters and" && cell[3] ~ /^[0-9]+$/) { if (cell[5] == tokens[rows]) same++; size[++rows] = cell[3]; tokens[rows] = cell[5] }
    if (match($0, /Width 256 with 2e-3 and all 3 M tokens: [0-9.]+ %/)) twice = substr($0, RSTART + 40, RLENGTH - 40)
    next
}
FILENAME ~ /tests\/README\.md$/ {
    if (match($0, /MLP and GPT [0-9]+ to [0-9]+, RNN, GRU and LSTM [0-9.]+ to [0-9.]+/))
        split(substr($0, RSTART, RLENGTH), times, /MLP and GPT |, RNN, GRU and LSTM /)
    next
}
FILENAME ~ /train\/README\.md$/ { training = training " " $0; next }
{ page = page " " $0 }

END {
    gsub(/ +/, " ", page)
    expect("`mood` is right in " right["mood"] " of the texts (a guess in " guess["mood"] "), `kind` in " right["kind"] " (" \
           guess["kind"] "), `grammar` in " right["grammar"] " (" guess["grammar"] ")")
    numbers("the names that `tag` finds", "has every figure", f1 " " right["answer"] + 0 " " never " " often " " places)
    expect("the words of the generator in " right["answer"])
    numbers("On fresh stories of this kind", "has the rest", talk " " percent(about["summary"], 0) " " percent(about["where"], 1) " " \
            range(about, "apples door lamp leader news person pet scene switch team time") " " percent(about["who"], 0) " " \
            percent(about["what"], 0) " " percent(fresh["summary"], 0) " " percent(fresh["before"], 0))
    expect("the GPT took " minutes["gpt"] " minutes")
    expect("GRU and LSTM " minutes["gru"] ", the RNN " minutes["rnn"])
    expect("a prompt of 198 words " times[2] " times as fast"); expect("recurrent networks " times[3] " times")
    if (minutes["gru"] != minutes["lstm"]) { print "log.md: GRU and LSTM took different times"; wrong = 1 }
    # The amplifier
    for (what in missed)
        miss[what ~ /filter/ ? "filter" : what ~ /curve/ ? "curve" : what ~ /units$/ ? "lstm" : "quieter"] = missed[what]
    numbers("The best filter gets", "([`log.md`](train/log.md)):", sprintf("%.0f %.0f %s %.1f", miss["filter"], miss["curve"], \
            substr(amp, 1, length(amp) - 3) "," substr(amp, length(amp) - 2), miss["lstm"]))
    # Numbers instead of words: two layers of n have n^2 + 5 n + 1 parameters, an RNN of n and its output n^2 + 4 n + 1,
    # with 16 inputs and 6 outputs n^2 + 24 n + 6
    n = int(sqrt(tiny["spiral"] + 5.25) - 2.5); expect("two tanh layers of " n " numbers")
    n = int(sqrt(tiny["room"] + 3) - 2); expect("A plain RNN with " n " numbers does")
    n = int(sqrt(tiny["vowels"] + 138) - 12); expect("a plain RNN with " n " numbers again")
    expect("Both have about " int(tiny["spiral"] / 100) "00 parameters")
    # What a large language model is, and what training costs
    if (parameters["gpt"] / 1e6 > 0.55 || parameters["gpt"] / 1e6 < 0.45) { print "log.md: the GPT has no half a million parameters"; wrong = 1 }
    expect("half a million parameters and read " sprintf("%.0f", read["gpt"]) " million tokens")
    expect("from " sprintf("%.0f thousand to %.1f million parameters, on the same %d million tokens", size[1] / 1e3, size[same + 1] / 1e6, tokens[1]))
    expect(sprintf("after %.2f, %.1f, %d and %.0f million tokens", tokens[same + 2], tokens[same + 3], tokens[same + 4], tokens[same + 5]))
    expect("the last one to " twice)
    expect("175 billion parameters and read 300 billion tokens")
    cost = 6 * parameters["gpt"] * read["gpt"] * 1e6; ten = int(log(cost) / log(10))
    expect(sprintf("the GPT's took %.1f x 10^%d", cost / 10 ^ ten, ten))
    large = 6 * 175e9 * 300e9
    if (!match(page, /GPT-3's took [0-9.]+ x 10\^23 /) || (ratio = substr(page, RSTART + 13, 3) * 1e23 / large) < 0.98 || ratio > 1.02) {
        print "README.md: GPT-3's training took about " large " operations"; wrong = 1
    }
    if (int(log(large / cost) / log(10)) == 9) expect("a billion times as many")
    gsub(/ +/, " ", training)
    if (training ~ /twenty processes shared one/ && training ~ /took less than five minutes/) expect("twenty trainings, side by side, took five minutes of one large GPU")
    else { print "train/README.md: does not say how long twenty trainings took"; wrong = 1 }
    exit wrong
}
