# Draws the benchmark's plots: gnuplot -c bench/plots.gnuplot FOLDER_OF_NUMBERS FOLDER_OF_PICTURES
numbers = ARG1 . "/"
pictures = ARG2 . "/"

set terminal svg size 720,400 font "sans-serif,13" background "#ffffff"
set datafile separator ","
set border 0
set tics scale 0 textcolor "#24292f"
set grid linetype 1 linecolor "#d0d7de" linewidth 1
set lmargin 10
set rmargin 5
set tmargin 6
set key at graph 0, graph 1.2 left horizontal maxrows 2 reverse Left samplen 2.5 textcolor "#24292f"

set linetype 1 linecolor "#0969da" linewidth 2.2                  # jsd
set linetype 2 linecolor "#0969da" linewidth 2.2 dashtype (8, 5)
set linetype 3 linecolor "#cf222e" linewidth 2.2                  # (a)
set linetype 4 linecolor "#cf222e" linewidth 2.2 dashtype (8, 5)
set linetype 5 linecolor "#6e7781" linewidth 2.2 dashtype (8, 5)  # (b)
set style data lines

set output pictures . "latency.svg"
set label 1 "{/:Bold How long a warm call takes}" at graph 0, graph 1.26 left font ",15"
set xlabel "ms until the answer is there"
set ylabel "% of the calls"
set logscale x
set autoscale xfix
set xtics (0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50, 100, 200, 500, 1000)
set yrange [0:100]
set ytics 25
plot for [i = 2:5] numbers . "latency.csv" using i:1 linetype i - 1 title columnheader(i)

set output pictures . "throughput.svg"
set label 1 "{/:Bold Warm calls of one tenant}"
set xlabel "calls in flight"
set ylabel "calls a second"
set logscale x 2
set xtics 2
set yrange [0:*]
set ytics auto
set format y "%.0f"
plot numbers . "throughput.csv" using 1:2 linetype 1 title columnheader(2), \
     "" using 1:3 linetype 3 title columnheader(3), \
     "" using 1:4 linetype 5 title columnheader(4)

set output pictures . "tenants.svg"
set label 1 "{/:Bold What a call costs in the scheduler}"
set xlabel "tenants with a container"
set ylabel "µs a call"
set logscale x 10
set xrange [9.99:*]
set xtics ("10" 10, "100" 100, "1,000" 1000, "10,000" 10000, "100,000" 100000)
set format y "%g"
plot numbers . "tenants.csv" using 1:2 linetype 1 title columnheader(2), \
     "" using 1:3 linetype 2 title columnheader(3)
