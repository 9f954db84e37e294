# shown.awk gradient.svg README.md learning.md - whether sentences say what the picture and the lines of commands beside
# them show: how far gradients fall, how far answers move, what a straight line gets wrong, how much better the networks
# of the room and of the vowels are, and what the biased twin gives "her way".
function expect(file, text, what) { if (index(text, what) == 0) { print file ": does not have: " what; wrong = 1 } }
function fall(line, from, to) { return log(left[line, from] / left[line, to]) / log(10) } # in powers of ten

FILENAME ~ /\.svg$/ {
    if (/text-anchor="end">10?</) { split($0, word, "\""); height[/>10</ ? 10 : 1] = word[4] - 4 }
    if (/^<path d="M120.0 [0-9.]+ L/) { # RNN, GRU, LSTM, after 1, 2, 4 ... 128 steps
        lines++
        for (k = 0; k < 8; k++) at[lines, k] = $(3 + 2 * k)
    }
    next
}
FILENAME ~ /learning\.md$/ { learning = learning " " $0; next }
/^    right of 1000 fresh points: / { line_misses = (100 - $(NF - 1)) / 100 }
/^    yes after more than [0-9]+ tokens it no longer moves the RNN's answer: / { forgets = $5; rnn_moves = $(NF - 3) }
/^    yes it moves the GPT's answer at every distance: / { gpt_moves = $(NF - 3) }
/^    same as before / { share_of_linear = $NF / $(NF - 3) }
/^    frames of 10 ms / { share_of_mlp = (100 - $(NF - 1)) / (100 - $(NF - 3)) }
/^    [(]he[)] was the leader/ { her_way = sprintf("%.0f", $(NF - 1)) }
{ page = page " " $0 }

END {
    split("one two three four five six", count, " ")
    split("whole half third quarter fifth sixth", part, " ")
    split("tenth hundredth thousandth ten-thousandth", power, " ")
    for (i = 1; i <= lines; i++)
        for (k = 0; k < 8; k++)
            left[i, 2 ^ k] = 10 ^ ((height[1] - at[i, k]) / (height[1] - height[10]))
    gsub(/ +/, " ", page); gsub(/ +/, " ", learning)
    expect("README.md", page, "The RNN's line falls by more than " count[int(fall(1, 1, 128))] " of them")
    for (steps = 1; fall(2, steps, 128) > 0.5 || fall(3, steps, 128) > 0.5;) steps *= 2
    expect("README.md", page, "fall little after " steps " steps")
    expect("learning.md", learning, "less than a " power[int(-log(left[1, 8]) / log(10))] " of a change arrives after 8 steps, and less than a " \
           power[int(-log(left[1, 128]) / log(10))] " after 128")
    expect("learning.md", learning, "With the GPT the answer moves by " gpt_moves " bits or more")
    expect("learning.md", learning, "With the RNN it moves by " rnn_moves " bits at most after more than " forgets " tokens")
    expect("README.md", page, "the best of all lines gets a " part[int(1 / line_misses + 0.5)] " of the points wrong")
    expect("README.md", page, "Its error is a " part[int(1 / share_of_linear + 0.5)] " of that of the best linear predictor")
    expect("README.md", page, "makes a " part[int(1 / share_of_mlp + 0.5)] " of the mistakes of the MLP")
    expect("README.md", page, "gives \"her way\" a probability of " her_way " %")
    if (lines != 3) { print "gradient.svg: expected three lines, found " lines + 0; wrong = 1 }
    exit wrong
}
