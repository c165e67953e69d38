# Prints which lines were never run, and how many of each file were, from llvm-cov's lcov format: one
# record for each file and program.

/^SF:/ {
    file = substr($0, 4)
    if (!(file in last)) {
        names[++files] = file
        number = last[file] = 0
        # From the tests' module on, it is not the library.
        while ((getline line < file) > 0) {
            text[file, ++number] = line
            if (line ~ /^mod (tests|model)/ && !last[file])
                last[file] = number
        }
        close(file)
        if (!last[file])
            last[file] = number + 1
        # Models and tests are none either.
        if (file ~ /\/model\.rs$/ || index(file, root "src/") != 1)
            last[file] = 0
    }
}

/^DA:/ {
    split(substr($0, 4), part, ",")
    runs[file, part[1] + 0] += part[2]
}

END {
    for (i = 1; i <= files; i++) {
        file = names[i]
        name = substr(file, length(root) + 1)
        lines = run = 0
        for (number = 1; number < last[file]; number++) {
            if (!((file, number) in runs))
                continue
            lines++
            if (runs[file, number] > 0)
                run++
            else
                printf "%s:%d: %s\n", name, number, text[file, number]
        }
        if (lines)
            table[++rows] = sprintf("%-24s %6d %6d %7.1f%%", name, lines, run, 100 * run / lines)
        all_lines += lines
        all_run += run
    }
    printf "\n%-24s %6s %6s\n", "file", "lines", "run"
    for (i = 1; i <= rows; i++)
        print table[i]
    printf "%-24s %6d %6d %7.1f%%\n", "all", all_lines, all_run, 100 * all_run / all_lines
}
