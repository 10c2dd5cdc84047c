// Each $add, $sub and $neg becomes one $alu, before `alumacc` sees it.
//
// `alumacc` merges adders that feed adders into one $macc, which `maccmap` then expands into
// full adders in LUTs: a tree of adders loses its carry chains. An $alu is not merged.

(* techmap_celltype = "$add $sub" *)
module adders_add_or_subtract (A, B, Y);
	parameter A_SIGNED = 0;
	parameter B_SIGNED = 0;
	parameter A_WIDTH = 1;
	parameter B_WIDTH = 1;
	parameter Y_WIDTH = 1;
	parameter _TECHMAP_CELLTYPE_ = "";

	(* force_downto *) input [A_WIDTH-1:0] A;
	(* force_downto *) input [B_WIDTH-1:0] B;
	(* force_downto *) output [Y_WIDTH-1:0] Y;

	// RTLIL extends signs only when both operands are signed.
	localparam SIGNED = A_SIGNED && B_SIGNED;
	localparam SUBTRACT = _TECHMAP_CELLTYPE_ == "$sub";

	wire [Y_WIDTH-1:0] unused_x, unused_co;
	\$alu #(
		.A_SIGNED(SIGNED), .B_SIGNED(SIGNED),
		.A_WIDTH(A_WIDTH), .B_WIDTH(B_WIDTH), .Y_WIDTH(Y_WIDTH)
	) _TECHMAP_REPLACE_ (
		.A(A), .B(B), .CI(SUBTRACT), .BI(SUBTRACT), .X(unused_x), .Y(Y), .CO(unused_co)
	);
endmodule

(* techmap_celltype = "$neg" *)
module adders_negate (A, Y);
	parameter A_SIGNED = 0;
	parameter A_WIDTH = 1;
	parameter Y_WIDTH = 1;

	(* force_downto *) input [A_WIDTH-1:0] A;
	(* force_downto *) output [Y_WIDTH-1:0] Y;

	wire [Y_WIDTH-1:0] unused_x, unused_co;
	\$alu #(
		.A_SIGNED(A_SIGNED), .B_SIGNED(A_SIGNED),
		.A_WIDTH(1), .B_WIDTH(A_WIDTH), .Y_WIDTH(Y_WIDTH)
	) _TECHMAP_REPLACE_ (
		.A(1'b0), .B(A), .CI(1'b1), .BI(1'b1), .X(unused_x), .Y(Y), .CO(unused_co)
	);
endmodule
