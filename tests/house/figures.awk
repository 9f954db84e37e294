# figures.awk learning.md head.svg - computes what these two show with numbers, and names what they do not have.
function tanh(x) { return 1 - 2 / (exp(2 * x) + 1) }
function loss(w, u) { p = 1 / (1 + exp(-2 * tanh(u * tanh(u * tanh(w))))); return -log(p) }
function expect(text) { if (index(page, text) == 0) { print FILENAME ": does not say: " text; wrong = 1 } }
function same(got, what) { if (sprintf(what, got) + 0 != n[++at] + 0) { print "head.svg: number " at " is " n[at] ", not " got; wrong = 1 } }

FILENAME ~ /\.svg$/ {
    while (match($0, />-?[0-9.]+<\/text>/)) {
        n[++count] = substr($0, RSTART + 1, RLENGTH - 8)
        $0 = substr($0, RSTART + RLENGTH)
    }
    next
}
{ page = page $0 "\n" }

END {
    FILENAME = "learning.md"
    # An example to check by hand
    w = 0.5; u = 0.9; bit = log(2)
    h1 = tanh(w); h2 = tanh(u * h1); h3 = tanh(u * h2); nats = loss(w, u)
    expect(sprintf("h_1 = %.3f      h_2 = %.3f          h_3 = %.3f          p = %.3f      loss = %.3f nats, or %.3f bits", \
                   h1, h2, h3, p, nats, nats / bit))
    d3 = 2 * (p - 1); s3 = u * (1 - h3 * h3); d2 = d3 * s3; s2 = u * (1 - h2 * h2); d1 = d2 * s2; s1 = 1 - h1 * h1; dw = d1 * s1
    expect(sprintf("= %.3f\n", d3))
    expect(sprintf("0.9 (1 - %.3f^2)          = %.3f * %.3f = %.3f\n", h3, d3, s3, d2))
    expect(sprintf("0.9 (1 - %.3f^2)          = %.3f * %.3f = %.3f\n", h2, d2, s2, d1))
    expect(sprintf("(1 - %.3f^2)              = %.3f * %.3f = %.3f\n", h1, d1, s1, dw))
    expect(sprintf("by 0.02: about %.2f. A\n", (loss(0.51, u) - loss(0.49, u)) / 0.02))
    new = loss(w - dw, u)
    expect(sprintf("w = 0.5 + %.3f = %.3f. Now p is %.3f, and the loss has fallen from %.3f to %.3f bits", \
                   -dw, w - dw, p, nats / bit, new / bit))
    # Backpropagation through time, gates
    expect(sprintf("was multiplied by %.3f and by %.3f on its way", s3, s2))
    for (share = 1; k < 100; share *= u * (1 - h * h)) { if (k) at_step[k] = share; h = tanh(u * (k++ ? h : h1)) }
    at_step[100] = share
    expect(sprintf("reaches h_1     %.2f     %.2f     %.2f    %.3f   %.6f\n", \
                   at_step[1], at_step[3], at_step[10], at_step[30], at_step[100]))
    expect(sprintf("product of 100 steps               %.5f       %.2f       1\n", 0.9 ^ 100, 0.99 ^ 100))
    # The attention head: q, five keys, q . k, / 2, weights, five values, their sum 1, the result
    for (t = 1; t <= 5; t++) {
        for (j = 1; j <= 4; j++) dot[t] += n[j] * n[4 * t + j]
        sum += exp(dot[t] / 2)
    }
    at = 24
    for (t = 1; t <= 5; t++) same(dot[t], "%g")
    for (t = 1; t <= 5; t++) same(dot[t] / 2, "%g")
    for (t = 1; t <= 5; t++) same(exp(dot[t] / 2) / sum, "%.3f")
    at += 20
    same(1, "%.3f")
    for (j = 1; j <= 4; j++) {
        result = 0
        for (t = 1; t <= 5; t++) result += exp(dot[t] / 2) / sum * n[39 + 4 * (t - 1) + j]
        same(result, "%.2f")
    }
    exit wrong
}
