# Reads the output of code.awk with its literals for src and prints strings with a conversion that ink_format() does not
# know. The compiler checks arguments against all of printf's letters, and ink_format() has few of them.
{
    match($0, /^[^:]*:[0-9]*:/)
    place = substr($0, 1, RLENGTH)
    text = substr($0, RLENGTH + 1)
    gsub(/'([^'\\]|\\.)'/, "", text)
    while (match(text, /"([^"\\]|\\.)*"/)) {
        string = substr(text, RSTART, RLENGTH)
        text = substr(text, RSTART + RLENGTH)
        gsub(/%%/, "", string)
        gsub(/\{%|%\}/, "", string) # marks of Jinja
        gsub(/%(\.\*|\.[0-9]+)?s/, "", string)
        gsub(/%(zu|u|llu|d|lld)/, "", string)
        if (string ~ /%/ && string != "\"%\"")
            print place " " string
    }
}
